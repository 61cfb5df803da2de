"""Share of samples whose brackets all have their partners."""

from __future__ import annotations

import torch

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric


class MatchedBrackets(MoleculeMetric):
    """Less brittle than validity, which one wrong valence spoils. An empty string does not count."""

    name = "matched_brackets"
    version = "1"
    title = "Samples whose brackets all have partners, percent"
    meaning = "a part of validity: every bracket has its partner; higher is better"
    factor, digits, order = 100.0, 1, 35
    short, better, real_label = "brackets", "higher", "Train set"
    against = ("token_steps",)

    def measure(self, samples: Samples) -> Estimate:
        self.source(samples)
        return estimate(
            torch.tensor([bool(text) and chemistry.brackets_match(text) for text in samples.texts]).double()
        )
