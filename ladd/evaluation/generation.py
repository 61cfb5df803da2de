"""Perplexities with standard errors, and quality against speed (paper, Eqs. 80-82; Appendix E.2)."""

from __future__ import annotations

import math

from torch import Tensor

from ladd.evaluation.estimate import Estimate, estimate
from ladd.text.teacher import TeacherScores


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


def gen_ppl(scores: TeacherScores) -> Estimate:
    """exp(total negative log-likelihood / total scored tokens) of generated text (paper, Eqs. 81-82).

    Texts without tokens carry nothing and are not in n. The error is that of a ratio of sums over independent texts,
    by the delta method: texts have different numbers of teacher tokens, and long ones weigh more.

    Raises:
        ValueError: no text has a token.
    """
    scored = scores.tokens > 0
    nll, tokens = scores.nll[scored], scores.tokens[scored].double()
    n = len(nll)
    if n == 0:
        raise ValueError(f"none of {len(scored)} texts has a token to score; generative perplexity needs text")
    ratio = nll.sum() / tokens.sum()
    # A single text has no spread to speak of: its error is unknown.
    variance = (nll - ratio * tokens).square().sum() * n / (n - 1) if n > 1 else math.nan
    value = math.exp(float(ratio))
    return Estimate(value, value * float(variance) ** 0.5 / float(tokens.sum()), n)
