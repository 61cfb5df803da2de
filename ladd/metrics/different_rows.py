"""Share of samples that are different strings."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.strings import StringMetric


class DifferentRows(StringMetric):
    """Different strings among all samples; it falls as n grows."""

    name = "different_rows"
    version = "1"
    title = "Different strings, percent of the samples"
    meaning = "low where samples repeat each other; the nearer to real data the better"
    factor, digits, order = 100.0, 1, 32
    short, better = "different", "higher"

    def measure(self, samples: Samples) -> Estimate:
        self.source(samples)
        return Estimate(len(samples.tokens.unique(dim=0)) / len(samples), None, len(samples))
