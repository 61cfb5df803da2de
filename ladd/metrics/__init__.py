"""Metrics of samples: one file each (see `ladd.metrics.base`)."""
