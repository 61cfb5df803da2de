"""Likelihood bounds, cost accounting, and the schema of a result row."""

LIKELIHOOD_VERSION = "3"  # raise it when a bound may change; rows of different versions are not compared
