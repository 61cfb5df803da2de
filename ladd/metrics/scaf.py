"""How alike the scaffolds of samples are to those of the test set, and of the one of held-out scaffolds."""

from __future__ import annotations

from typing import ClassVar

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import Against, MoleculeMetric


class _Scaf(MoleculeMetric):
    """Cosine of the counts of scaffolds in valid samples and in the test set, in [0, 1]; 0 without one."""

    version = "1"
    digits, better, real_label = 3, "higher", "Train set"
    meaning = "whether the same ring systems occur as often as in real molecules; higher is better"
    compared: ClassVar[Against]

    def measure(self, samples: Samples) -> Estimate:
        reference = self.source(samples).statistics(self.compared).scaffolds
        value = chemistry.cosine(chemistry.scaffolds(self.molecules(samples)), reference)
        return Estimate(value, None, len(samples))


class Scaf(_Scaf):
    """Those of the test set (MOSES: Scaf/Test)."""

    name, compared, order = "scaf", "test", 26
    title, short = "Similarity of the scaffolds to those of the test set (1 is best)", "Scaf"


class ScafScaffolds(_Scaf):
    """Those of the test set of scaffolds that are not in the training set (MOSES: Scaf/TestSF)."""

    name, compared, order = "scaf_scaffolds", "test_scaffolds", 33
    title = "Similarity of the scaffolds to those of the test set of held-out scaffolds"
