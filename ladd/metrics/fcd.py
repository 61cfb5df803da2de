"""Fréchet ChemNet distance (Preuer et al., 2018), to the test set and to the one of held-out scaffolds."""

from __future__ import annotations

from typing import ClassVar

from ladd.data import chemistry
from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Samples
from ladd.metrics.molecules import Against, MoleculeMetric

ESSENTIAL = 19  # order of the one that is printed


class _Fcd(MoleculeMetric):
    """Of the valid samples. Without one, features are taken as 0, so the value is large and finite.

    It falls with the number of valid samples, whatever their quality: compare it at equal n, beside that of the train
    set at this n.
    """

    version = "1"
    digits, real_label = 3, "Train set"
    meaning = "how far the distribution of chemical features is from that of real molecules; lower is better"
    compared: ClassVar[Against]

    def measure(self, samples: Samples) -> Estimate:
        source = self.source(samples)
        reference = source.statistics(self.compared)
        features = chemistry.activations(self.molecules(samples), source.device)
        value = chemistry.frechet_distance((reference.mean, reference.covariance), chemistry.moments(features))
        return Estimate(value, None, len(samples))


class Fcd(_Fcd):
    """To the test set (MOSES: FCD/Test)."""

    name, compared = "fcd", "test"
    title = "FCD to the test set (0 is best), of the valid samples"
    essential, order = True, ESSENTIAL
    short, axis = "FCD", "Fréchet ChemNet distance to the test set"
    role, against = "quality", ("token_steps", "nominal_gmacs_per_sample")


class FcdScaffolds(_Fcd):
    """To the test set of scaffolds that are not in the training set (MOSES: FCD/TestSF)."""

    name, compared, order = "fcd_scaffolds", "test_scaffolds", 30
    title = "FCD to the test set of held-out scaffolds, of the valid samples"
