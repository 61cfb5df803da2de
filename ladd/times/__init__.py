"""Time samplers."""

from ladd.times.samplers import TimeDraw, independent_times, low_discrepancy_times

__all__ = ["TimeDraw", "independent_times", "low_discrepancy_times"]
