"""Distance of the lengths of samples from those of real strings."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.strings import StringMetric, lengths


class RowLength(StringMetric):
    """1-Wasserstein distance of the numbers of tokens before padding: sets are of one size, so sorted ones pair up."""

    name = "row_length"
    version = "1"
    title = "Distance of the lengths from those of real strings (1-Wasserstein, tokens)"
    meaning = "how many tokens longer or shorter; that of real data against other real data is the best there is"
    digits, order = 2, 37
    short = "length W1"
    needs = ("real",)

    def measure(self, samples: Samples) -> Estimate:
        end = self.source(samples).end
        own, real = (lengths(x, end).double().sort().values for x in (samples.tokens, samples.real))
        return Estimate(float((own - real).abs().mean()), None, len(samples))
