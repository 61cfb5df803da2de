"""Share of valid samples that differ."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric


class UniqueMolecules(MoleculeMetric):
    """Of the valid samples (MOSES: unique@k, where k of them are valid); 0 without one. It falls as n grows."""

    name = "unique_molecules"
    version = "1"
    title = "Different molecules, percent of the valid ones"
    meaning = "low where samples repeat each other; higher is better"
    factor, digits, order = 100.0, 1, 21
    short, better, real_label = "unique", "higher", "Train set"

    def measure(self, samples: Samples) -> Estimate:
        found = self.molecules(samples)
        return Estimate(len(set(found)) / max(len(found), 1), None, len(samples))
