"""Distinct n-grams of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Metric, Samples

SHARED = -1


class _Distinct(Metric):
    """Share of the n-grams of all samples that are different."""

    version = "3"
    better = "higher"
    meaning = "low where samples repeat themselves or each other; the nearer to real data the better"
    n: ClassVar[int]

    def measure(self, samples: Samples) -> Estimate:
        return distinct_n(content_tokens(samples.tokens, samples.source.special), self.n)


def _title(n: int) -> str:
    return f"distinct-{n} (share of {n}-grams that are different)"


class Distinct1(_Distinct):
    """Of single tokens."""

    name, n, order, title = "distinct_1", 1, 4, _title(1)


class Distinct2(_Distinct):
    """Of pairs."""

    name, n, order, title = "distinct_2", 2, 5, _title(2)
    short = "distinct-2"


class Distinct3(_Distinct):
    """Of triples."""

    name, n, order, title = "distinct_3", 3, 6, _title(3)


class Distinct4(_Distinct):
    """Of quadruples."""

    name, n, order, title = "distinct_4", 4, 7, _title(4)


def content_tokens(x: Tensor, omit: Sequence[int]) -> list[list[int]]:
    """The rows of x (n, N) without the ids in ``omit``."""
    return [[token for token in row if token not in omit] for row in x.tolist()]


def distinct_n(sequences: Tensor | Sequence[Sequence[int]], n: int) -> Estimate:
    """Distinct n-grams of all sequences together, divided by all their n-grams: in (0, 1], higher is more diverse.

    N-grams do not cross from one sequence to the next. The ratio falls as sequences are added, so only sets of the
    same size compare. Its error is the delete-one-sequence jackknife's, which is exact to compute: without a sequence
    the count is less by the n-grams that only it has. By the Efron-Stein inequality it is too large rather than too
    small.

    Args:
        sequences: (s, N), or s lists of tokens; specials removed, see `content_tokens`.
        n: length of an n-gram, at least 1.
    Raises:
        ValueError: no sequence has n tokens.
    """
    rows = sequences.tolist() if isinstance(sequences, Tensor) else sequences
    owner: dict[tuple[int, ...], int] = {}  # n-gram -> the only sequence that has it, or SHARED
    for place, row in enumerate(rows):
        for gram in zip(*(row[start:] for start in range(n)), strict=False):
            if owner.setdefault(gram, place) != place:
                owner[gram] = SHARED
    grams = torch.tensor([max(len(row) - n + 1, 0) for row in rows], dtype=torch.float64)
    total = grams.sum()
    if total == 0:
        raise ValueError(f"none of {len(rows)} sequences has {n} tokens, so there are no {n}-grams to count")
    owners = torch.tensor(list(owner.values()))
    own = torch.bincount(owners[owners != SHARED], minlength=len(rows))
    without = (len(owner) - own) / (total - grams)
    # Undefined where one sequence has all the n-grams: the error is then not a number.
    variance = (without - without.mean()).square().sum() * (len(rows) - 1) / len(rows)
    return Estimate(len(owner) / float(total), float(variance.sqrt()) if len(rows) > 1 else float("nan"), len(rows))
