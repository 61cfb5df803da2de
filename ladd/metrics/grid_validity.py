"""Share of samples that are valid grids, and what metrics of grids ask of a task."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.errors import ConfigError
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Metric, Samples, Source


class GridSource(Source):
    """A task whose sequences are all known and equally likely.

    Attributes:
        grids: int64 (M, N), each once.
    """

    grids: Tensor


class GridValidity(Metric):
    """Whether a sample is one of the sequences that can occur; the standard error is binomial."""

    name = "grid_validity"
    version = "1"
    title = "Valid grids, % of samples"
    meaning = "samples in which no row, column or quarter holds a digit twice; higher is better"
    factor, digits, essential, order = 100.0, 2, True, 0
    short, axis = "valid grids", "valid grids (% of samples)"
    real_label, against, better = "Real data", ("token_steps", "gmacs_per_sample"), "higher"
    scale = "linear"  # of figures: no sample may be valid

    def measure(self, samples: Samples) -> Estimate:
        return estimate((places(samples) >= 0).double())


def places(samples: Samples) -> Tensor:
    """Number of the grid that each sample is, int64 (n,); -1 for none.

    Raises:
        ConfigError: the task does not list its grids.
    """
    if not isinstance(samples.source, GridSource):
        raise ConfigError(
            f"evaluation.metrics: {type(samples.source).__name__} lists no grids; remove the metric that needs them"
        )
    grids, found = samples.source.grids, samples.tokens.new_full((len(samples),), -1)
    for rows in torch.arange(len(samples)).split(1024):
        same = (samples.tokens[rows, None] == grids).all(dim=-1)
        found[rows] = torch.where(same.any(dim=1), same.long().argmax(dim=1), -1)
    return found


def counts(samples: Samples) -> Tensor:
    """How many samples are each of the grids, int64 (M,)."""
    found = places(samples)
    assert isinstance(samples.source, GridSource)
    return torch.bincount(found[found >= 0], minlength=len(samples.source.grids))
