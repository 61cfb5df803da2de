"""Distance of the lengths of samples from those of real sequences."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric, lengths


class LengthDistance(MoleculeMetric):
    """1-Wasserstein distance of the numbers of tokens that are not padding: equal sets, so sorted lengths pair up."""

    name = "length_distance"
    version = "1"
    title = "Distance of the lengths from those of the train set (1-Wasserstein, tokens; 0 is best)"
    meaning = "how many tokens longer or shorter, in the mean; lower is better"
    digits, order = 2, 37
    short, real_label = "length W1", "Train set"
    needs = ("real",)

    def measure(self, samples: Samples) -> Estimate:
        pad = self.source(samples).pad
        own, real = (lengths(x, pad).double().sort().values for x in (samples.tokens, samples.real))
        return Estimate(float((own - real).abs().mean()), None, len(samples))
