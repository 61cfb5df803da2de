"""Share of samples that are molecules."""

from __future__ import annotations

import torch

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric


class ValidMolecules(MoleculeMetric):
    """As RDKit judges; an empty string and one with padding inside are none (MOSES: valid)."""

    name = "valid_molecules"
    version = "1"
    title = "Valid molecules, percent of samples"
    meaning = "strings that RDKit reads as a molecule; higher is better"
    factor, digits, essential, order = 100.0, 1, True, 20
    short, axis, real_label = "valid", "valid molecules (percent)", "Train set"
    better, against = "higher", ("token_steps",)

    def measure(self, samples: Samples) -> Estimate:
        self.source(samples)
        found = [text is not None for text in chemistry.canonical(tuple(samples.texts))]
        return estimate(torch.tensor(found).double())
