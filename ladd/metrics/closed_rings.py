"""Share of samples whose ring bonds are all closed."""

from __future__ import annotations

import torch

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric


class ClosedRings(MoleculeMetric):
    """Less brittle than validity, which one wrong valence spoils. An empty string does not count."""

    name = "closed_rings"
    version = "1"
    title = "Samples whose ring bonds are all closed, percent"
    meaning = "a part of validity: every ring that is opened is closed; higher is better"
    factor, digits, order = 100.0, 1, 36
    short, better, real_label = "rings", "higher", "Train set"
    against = ("token_steps",)

    def measure(self, samples: Samples) -> Estimate:
        self.source(samples)
        return estimate(torch.tensor([bool(text) and chemistry.rings_close(text) for text in samples.texts]).double())
