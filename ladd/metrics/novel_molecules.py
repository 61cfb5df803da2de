"""Share of different valid samples that the training set does not have."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric


class NovelMolecules(MoleculeMetric):
    """Against all of the published training set, whatever part of it a suite trains on (MOSES: novelty); 0 without."""

    name = "novel_molecules"
    version = "1"
    title = "Molecules that are not in the published training set, percent of the different valid ones"
    meaning = "low where a model copies what it was trained on; higher is better"
    factor, digits, order = 100.0, 1, 22
    short, better, real_label = "novel", "higher", "Train set"

    def measure(self, samples: Samples) -> Estimate:
        found = sorted(set(self.molecules(samples)))
        known = sum(self.source(samples).is_known(found))
        return Estimate((len(found) - known) / max(len(found), 1), None, len(samples))
