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
    meaning = "how near a sample is to the most similar real molecule; higher is better"
    compared: ClassVar[Against]

    def measure(self, samples: Samples) -> Estimate:
        source = self.source(samples)
        found = chemistry.fingerprints(self.molecules(samples))
        if not len(found):
            return Estimate(0.0, None, len(samples))
        packed = source.statistics(self.compared).fingerprints
        if torch.device(source.device).type == "cpu":
            similarities = torch.from_numpy(nearest_similarity(np.packbits(found, axis=1), packed))
        else:
            similarities = nearest_by_products(torch.from_numpy(found).float().to(source.device), packed)
        nearest = estimate(similarities.double().cpu())
        return Estimate(nearest.value, nearest.stderr, len(samples))


class Snn(_Snn):
    """In the test set (MOSES: SNN/Test)."""

    name, compared, order = "snn", "test", 24
    title, short = "Similarity to the nearest neighbour in the test set, mean over valid samples", "SNN"


class SnnScaffolds(_Snn):
    """In the test set of scaffolds that are not in the training set (MOSES: SNN/TestSF)."""

    name, compared, order = "snn_scaffolds", "test_scaffolds", 31
    title = "Similarity to the nearest neighbour in the test set of held-out scaffolds, mean over valid samples"


def nearest_similarity(x: np.ndarray, packed: np.ndarray) -> np.ndarray:
    """Largest Tanimoto similarity, float64 (n,), of each of the fingerprints uint8 (n, F / 8) to those (m, F / 8).

    Bits are counted in words of 64: a third of the time of products on a processor, and none to unpack.
    """
    own, words = x.view(np.uint64), np.ascontiguousarray(packed.view(np.uint64).T)
    sizes = np.bitwise_count(words).sum(axis=0, dtype=np.int64)
    best = np.zeros(len(own))
    for place, row in enumerate(own):
        shared = np.zeros(len(packed), np.uint16)
        for word, bits in zip(words, row, strict=True):
            if bits:
                shared += np.bitwise_count(word & bits)
        either = sizes + np.bitwise_count(row).sum(dtype=np.int64) - shared
        best[place] = (shared / either.clip(1)).max()
    return best


def nearest_by_products(x: Tensor, packed: np.ndarray) -> Tensor:
    """The same of fingerprints float (n, F) on a device whose products are fast."""
    best = x.new_zeros(len(x))
    for start in range(0, len(packed), ROWS):
        rows = torch.from_numpy(np.unpackbits(packed[start : start + ROWS], axis=1)).to(x)
        best = torch.maximum(best, chemistry.tanimoto(x, rows).amax(dim=1))
    return best
