"""Total variation distance between the samples and the uniform law over the grids."""

from __future__ import annotations

import torch

from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Metric, Samples
from ladd.metrics.grid_validity import GridSource, counts, places


class GridTotalVariation(Metric):
    """Half the sum of |share of samples - 1/M| over the M grids, plus half the share of invalid samples.

    The shares of n perfect samples are not uniform: the value is biased upwards, the more the smaller n is, so only
    sets of the same size compare, and what n perfect samples are expected to give stands beside it as a reference. The
    standard error is that of the distance as a function of the shares, linear on each side of 1/M (delta method): near
    the uniform law, where shares lie on both sides by chance, it is too large rather than too small.
    """

    name = "grid_total_variation"
    version = "1"
    title = "Total variation from the uniform law over grids, of n samples"
    meaning = "how far the shares of the grids are from equal; lower is better, and a finite set is never at 0"
    digits, essential, order = 4, True, 2
    short, axis = "TV", "total variation from the uniform law over grids"
    real_label, against = "Real data (floor)", ("token_steps",)

    def measure(self, samples: Samples) -> Estimate:
        found, of_each = places(samples), counts(samples)
        assert isinstance(samples.source, GridSource)
        n, size = len(samples), len(samples.source.grids)
        shares = of_each.double() / n
        above = torch.where(shares > 1 / size, 0.5, -0.5).double()
        # Invalid samples add half of their share, as grids above 1/M do.
        effect = torch.where(found >= 0, above[found.clamp(min=0)], 0.5)
        value = 0.5 * float((shares - 1 / size).abs().sum() + 1 - shares.sum())
        return Estimate(value, estimate(effect).stderr, n)
