"""Internal diversity of samples."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import MoleculeMetric

ROWS = 1024  # at a time


class IntDiv(MoleculeMetric):
    """1 - mean Tanimoto similarity over all pairs of valid samples, each with itself too (MOSES: IntDiv); 0 without."""

    name = "int_div"
    version = "1"
    title = "Internal diversity of the valid samples (1 - mean similarity of pairs)"
    meaning = "low where molecules resemble each other; the nearer to real data the better"
    digits, order = 3, 27
    short, better, real_label = "IntDiv", "higher", "Train set"
    role, equal = "diversity", 0.02

    def measure(self, samples: Samples) -> Estimate:
        found = torch.from_numpy(chemistry.fingerprints(self.molecules(samples))).float()
        return Estimate(internal_diversity(found), None, len(samples))


def internal_diversity(x: Tensor) -> float:
    """Of fingerprints float (n, F), in [0, 1 - 1 / n]; 0 of none."""
    if not len(x):
        return 0.0
    return 1 - float(sum(chemistry.tanimoto(part, x).double().sum() for part in x.split(ROWS))) / len(x) ** 2
