"""Means with standard errors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Estimate(NamedTuple):
    """A mean over sequences with its standard error."""

    value: float
    stderr: float
    n: int


def estimate(values: Tensor) -> Estimate:
    """Mean and standard error of independent values (n,)."""
    return Estimate(float(values.mean()), float(values.std() / len(values) ** 0.5), len(values))
