"""Metrics, exact references, likelihood bounds and cost accounting."""

EVALUATOR_VERSION = "3"  # raise it when a metric's value may change; rows of different versions are not compared
