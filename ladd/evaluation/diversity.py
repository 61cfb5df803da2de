"""Entropies and distinct n-grams of samples (paper, Section E.4), at any vocabulary size.

Sequences are integer tensors (n, N). The ids in ``omit`` (specials such as BOS, EOS and padding) are no content and
are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ladd.evaluation.estimate import Estimate

SHARED = -1


def positional_entropy(x: Tensor, omit: Sequence[int] = ()) -> float:
    """Entropy in nats of the empirical marginal at each position, averaged over positions (paper, Eqs. 83-84).

    At most log n, whatever the vocabulary: compare only sets of the same size. Positions without content are not in
    the average.
    """
    entropies, content = _row_entropies(x.T, omit)
    return float(entropies[content > 0].mean())


def sequence_entropy(x: Tensor, omit: Sequence[int] = ()) -> Tensor:
    """Entropy in nats of the unigram distribution within each sequence, float64 (n,); 0 without content."""
    return _row_entropies(x, omit)[0]


def _row_entropies(x: Tensor, omit: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Entropy of the values in each row, float64 (R,), and how many values count, int64 (R,)."""
    x = x.long()
    counted = ~torch.isin(x, torch.tensor(list(omit), dtype=torch.long, device=x.device))
    content = counted.sum(dim=1)
    # Only the pairs of row and value that occur are counted: a table over the vocabulary would not fit in memory.
    span = int(x.max()) + 1
    pairs, counts = (torch.arange(len(x), device=x.device)[:, None] * span + x)[counted].unique(return_counts=True)
    rows = pairs // span
    shares = counts.double() / content[rows]
    entropies = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    return entropies.index_add(0, rows, -torch.special.xlogy(shares, shares)), content


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
