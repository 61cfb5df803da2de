"""Means, ratios and perplexities with standard errors; values may depend on each other within groups."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Estimate(NamedTuple):
    """A mean over sequences with its standard error; None where nothing is known of it."""

    value: float
    stderr: float | None
    n: int


def estimate(values: Tensor, groups: Tensor | None = None) -> Estimate:
    """Mean and standard error of values (n,); a single one has no known error.

    Args:
        values: independent ones, but within groups.
        groups: int64 (n,), see `ratio`; None where every value is a group of its own.
    """
    if groups is not None:
        return ratio(values, torch.ones_like(values), groups)
    stderr = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return Estimate(float(values.mean()), stderr, len(values))


def ratio(numerator: Tensor, denominator: Tensor, groups: Tensor | None = None) -> Estimate:
    """Ratio of the sums of two (n,), with its linearised standard error.

    The sum over a group of the residuals, numerator - ratio * denominator, is what varies: the variance of the ratio is
    G / (G - 1) times the sum of their squares, over the squared sum of the denominator (G groups; the ratio-to-size
    estimate of cluster sampling). With every value in its own group and a denominator of ones it is that of a mean.

    Args:
        groups: int64 (n,), such as the document of every sequence. Values of one group may depend on each other. A
            single group has no known error. None where every value is a group of its own.
    """
    numerator, denominator = numerator.double(), denominator.double()
    value = numerator.sum() / denominator.sum()
    residual = numerator - value * denominator
    if groups is not None:
        _, place = groups.unique(return_inverse=True)
        place = place.to(residual.device)
        residual = residual.new_zeros(int(place.max()) + 1).index_add(0, place, residual)
    count = len(residual)
    if count < 2:
        return Estimate(float(value), None, len(numerator))
    variance = residual.square().sum() * count / (count - 1)
    return Estimate(float(value), float(variance.sqrt() / denominator.sum()), len(numerator))


def perplexity(nll_per_token: Tensor, groups: Tensor | None = None) -> Estimate:
    """exp of the mean over sequences of equal length (paper, Eq. 80), its error by the delta method.

    Args:
        nll_per_token: (n,), nats per token.
        groups: int64 (n,), such as the document of every sequence: sequences of one group may depend on each other.
            None where all are independent.
    """
    mean = estimate(nll_per_token.double(), groups)
    value = math.exp(mean.value)
    return Estimate(value, None if mean.stderr is None else value * mean.stderr, mean.n)
