"""Similarity of samples to their nearest neighbours in the test set, and in the one of held-out scaffolds."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import Against, MoleculeMetric

ROWS = 8192  # of the test set that are unpacked at a time


class _Snn(MoleculeMetric):
    """Mean over valid samples of the largest Tanimoto similarity of Morgan fingerprints; 0 without one."""

    version = "1"
    digits, better, real_label = 3, "higher", "Train set"
    compared: ClassVar[Against]

    def measure(self, samples: Samples) -> Estimate:
        source = self.source(samples)
        found = torch.from_numpy(chemistry.fingerprints(self.molecules(samples))).float().to(source.device)
        if not len(found):
            return Estimate(0.0, None, len(samples))
        nearest = estimate(nearest_similarity(found, source.statistics(self.compared).fingerprints))
        return Estimate(nearest.value, nearest.stderr, len(samples))


class Snn(_Snn):
    """In the test set (MOSES: SNN/Test)."""

    name, compared, order = "snn", "test", 24
    title, short = "Similarity to the nearest neighbour in the test set, mean over valid samples", "SNN"


class SnnScaffolds(_Snn):
    """In the test set of scaffolds that are not in the training set (MOSES: SNN/TestSF)."""

    name, compared, order = "snn_scaffolds", "test_scaffolds", 31
    title = "Similarity to the nearest neighbour in the test set of held-out scaffolds, mean over valid samples"


def nearest_similarity(x: Tensor, packed: np.ndarray) -> Tensor:
    """Largest similarity, float (n,), of each fingerprint float (n, F) to those packed in uint8 (m, F / 8)."""
    best = x.new_zeros(len(x))
    for start in range(0, len(packed), ROWS):
        rows = torch.from_numpy(np.unpackbits(packed[start : start + ROWS], axis=1)).to(x)
        best = torch.maximum(best, chemistry.tanimoto(x, rows).amax(dim=1))
    return best
