"""How alike the fragments of samples are to those of the test set, and of the one of held-out scaffolds."""

from __future__ import annotations

from typing import ClassVar

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import Against, MoleculeMetric


class _Frag(MoleculeMetric):
    """Cosine of the counts of fragments in valid samples and in the test set, in [0, 1]; 0 without one."""

    version = "1"
    digits, better, real_label = 3, "higher", "Train set"
    meaning = "whether the same chemical fragments occur as often as in real molecules; higher is better"
    compared: ClassVar[Against]

    def measure(self, samples: Samples) -> Estimate:
        reference = self.source(samples).statistics(self.compared).fragments
        value = chemistry.cosine(chemistry.fragments(self.molecules(samples)), reference)
        return Estimate(value, None, len(samples))


class Frag(_Frag):
    """Those of the test set (MOSES: Frag/Test)."""

    name, compared, order = "frag", "test", 25
    title, short = "Similarity of the fragments to those of the test set (1 is best)", "Frag"


class FragScaffolds(_Frag):
    """Those of the test set of scaffolds that are not in the training set (MOSES: Frag/TestSF)."""

    name, compared, order = "frag_scaffolds", "test_scaffolds", 32
    title = "Similarity of the fragments to those of the test set of held-out scaffolds"
