"""Share of samples that are no string: a token stands behind padding, or there is nothing but padding."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.strings import StringMetric, broken


class BrokenRows(StringMetric):
    """Of all samples; real data have none."""

    name = "broken_rows"
    version = "1"
    title = "Samples with a token behind padding, or without any, percent"
    meaning = "rows that are no string; 0 is best"
    factor, digits, order = 100.0, 1, 39
    short = "broken"
    against = ("token_steps",)
    scale = "linear"

    def measure(self, samples: Samples) -> Estimate:
        return estimate(broken(samples.tokens, self.source(samples).end).double())
