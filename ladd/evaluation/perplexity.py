"""Perplexities of models on held-out sequences, with standard errors (paper, Eq. 80)."""

from __future__ import annotations

import math

from torch import Tensor

from ladd.evaluation.estimate import Estimate, estimate


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
