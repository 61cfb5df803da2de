"""How many of the grids are among the samples."""

from __future__ import annotations

from ladd.evaluation.estimate import Estimate
from ladd.metrics.base import Metric, Samples
from ladd.metrics.grid_validity import counts


class GridCoverage(Metric):
    """Different valid grids among n samples; it grows with n, so only sets of the same size compare.

    Its error is the delete-one-sample jackknife's: without a sample the number is less by one where no other sample is
    the same grid. By the Efron-Stein inequality it is too large rather than too small.
    """

    name = "grid_coverage"
    version = "1"
    title = "Different valid grids among the samples"
    meaning = "how many of all grids are among the samples; low where a model draws the same few; higher is better"
    digits, essential, order = 1, True, 1
    short, axis = "covered", "different valid grids among the samples"
    better = "higher"

    def measure(self, samples: Samples) -> Estimate:
        n, of_each = len(samples), counts(samples)
        alone = int((of_each == 1).sum())
        return Estimate(float((of_each > 0).sum()), ((n - 1) * alone / n * (1 - alone / n)) ** 0.5, n)
