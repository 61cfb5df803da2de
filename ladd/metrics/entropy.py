"""Entropies of samples (paper, Section E.4, Eqs. 83-84), at any vocabulary size.

Sequences are integer tensors (n, N). The ids in ``omit`` (specials such as BOS, EOS and padding) are no content and
are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Metric, Samples


class SequenceEntropy(Metric):
    """Mean entropy of the tokens within a sequence."""

    name = "entropy_sequence"
    version = "3"
    title = "Per-sequence unigram entropy, nats"
    meaning = "how varied the tokens of one sample are; low where it repeats itself; the nearer to real data the better"
    order = 3
    short, axis = "entropy", "per-sequence unigram entropy (nats)"
    role, better, equal = "diversity", "higher", 0.1

    def measure(self, samples: Samples) -> Estimate:
        return estimate(sequence_entropy(samples.tokens, samples.source.special))


class PositionalEntropy(Metric):
    """Entropy of the tokens at a position, over all samples: one value, whose error is not known."""

    name = "entropy_positional"
    version = "3"
    title = "Positional entropy (of the marginal at each position), nats"
    meaning = "how varied the token at one position is over all samples; the nearer to real data the better"
    order = 2
    better = "higher"

    def measure(self, samples: Samples) -> Estimate:
        return Estimate(positional_entropy(samples.tokens, samples.source.special), None, len(samples))


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
