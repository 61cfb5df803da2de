"""Distance between the n-grams of samples and those of real sequences."""

from __future__ import annotations

from collections import Counter

from torch import Tensor

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Metric, Samples

GRAM = 3  # tokens
BORDER = -1  # stands before and behind every sequence


class GramDistance(Metric):
    """Total variation: half the sum of the differences of the shares of all n-grams, in [0, 1].

    Specials are left out, and a border stands at both ends. Two finite sets of one law have n-grams of their own, so
    the least that can be reached is that of real data against other real data, and only sets of one size compare.
    """

    name = "gram_distance"
    version = "1"
    title = "Distance of the trigrams from those of real data (total variation, percent)"
    meaning = "0 would be equal, 100 nothing in common; the value of real data against other real data is the best"
    factor, digits, order = 100.0, 1, 1
    essential = True
    short = "trigram TV"
    against = ("token_steps", "nominal_gmacs_per_sample")
    role = "quality"
    needs = ("real",)

    def measure(self, samples: Samples) -> Estimate:
        special = samples.source.special
        own, real = (gram_shares(x, special, GRAM) for x in (samples.tokens, samples.real))
        return Estimate(total_variation(own, real), None, len(samples))


def gram_shares(x: Tensor, omit: tuple[int, ...], n: int) -> dict[tuple[int, ...], float]:
    """Share of each n-gram among all of the rows of x int64 (s, N), without the ids in ``omit`` and with borders."""
    counts: Counter[tuple[int, ...]] = Counter()
    for row in x.tolist():
        framed = [BORDER, *(token for token in row if token not in omit), BORDER]
        counts.update(zip(*(framed[start:] for start in range(n)), strict=False))
    total = sum(counts.values())
    return {gram: count / total for gram, count in counts.items()}


def total_variation(p: dict[tuple[int, ...], float], q: dict[tuple[int, ...], float]) -> float:
    """Of two distributions; one without any n-gram has nothing in common with another."""
    if not p or not q:
        return float(bool(p) != bool(q))
    return sum(abs(p.get(gram, 0.0) - q.get(gram, 0.0)) for gram in p.keys() | q.keys()) / 2
