"""Share of valid samples without unwanted substructures."""

from __future__ import annotations

import torch

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric


class FiltersPassed(MoleculeMetric):
    """Of valid samples, those that pass the filters by which MOSES chose its molecules (MOSES: Filters); 0 without."""

    name = "filters_passed"
    version = "1"
    title = "Molecules without unwanted substructures, percent of the valid ones"
    meaning = "by the rules that chose the molecules of the data; higher is better"
    factor, digits, order = 100.0, 1, 28
    short, better, real_label = "filters", "higher", "Train set"

    def measure(self, samples: Samples) -> Estimate:
        found, patterns = self.molecules(samples), self.source(samples).patterns
        if not found:
            return Estimate(0.0, None, len(samples))
        passed = estimate(torch.tensor([chemistry.passes(text, patterns) for text in found]).double())
        return Estimate(passed.value, passed.stderr, len(samples))
