"""Share of positions that are padding, to be held against that of real sequences."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric


class PadShare(MoleculeMetric):
    """Too much of it says that strings are short, too little that they are long."""

    name = "pad_share"
    version = "1"
    title = "Padding, percent of the positions"
    meaning = "too much where strings are short, too little where they are long; the nearer to real data the better"
    factor, digits, order = 100.0, 1, 38
    short, real_label = "padding", "Train set"

    def measure(self, samples: Samples) -> Estimate:
        return estimate((samples.tokens == self.source(samples).pad).double().mean(dim=1))
