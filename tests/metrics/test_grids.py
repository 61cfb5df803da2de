"""Metrics of grids on hand-made samples, and their standard errors against repeated draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ladd.errors import ConfigError
from ladd.metrics.base import Samples, Source
from ladd.metrics.grid_coverage import GridCoverage
from ladd.metrics.grid_total_variation import GridTotalVariation
from ladd.metrics.grid_validity import GridSource, GridValidity, counts

GRIDS = torch.tensor([[0, 0], [0, 1], [1, 0], [2, 2]])
INVALID = [1, 1]


class Listed(GridSource):
    """Four sequences of two tokens."""

    seed, grids = 0, GRIDS

    def texts(self, x):
        raise NotImplementedError

    def compared(self, index, count):
        raise NotImplementedError


class Unlisted(Source):
    """A task that does not know its sequences."""

    seed = 0
    texts = Listed.texts
    compared = Listed.compared


def samples(rows: list[list[int]]) -> Samples:
    return Samples(Listed(), torch.tensor(rows), 0)


def drawn(count: int, weights: list[float], seed: int) -> Samples:
    choice = np.random.default_rng(seed).choice(5, size=count, p=weights)
    return Samples(Listed(), torch.cat([GRIDS, torch.tensor([INVALID])])[torch.from_numpy(choice)], 0)


def test_values_of_known_samples():
    x = samples([[0, 0]] * 4 + [[0, 1]] * 2 + [[2, 2]] + [INVALID])
    assert counts(x).tolist() == [4, 2, 0, 1]
    valid, covered, distance = (metric({}).measure(x) for metric in (GridValidity, GridCoverage, GridTotalVariation))
    assert (valid.value, valid.n) == (7 / 8, 8)
    assert valid.stderr == pytest.approx((7 / 8 * 1 / 8 / 7) ** 0.5)
    assert covered.value == 3
    assert distance.value == pytest.approx(0.5 * (1 / 4 + 0 + 1 / 4 + 1 / 8 + 1 / 8))


def test_samples_without_a_valid_grid():
    x = samples([INVALID, INVALID, INVALID])
    for metric, value in ((GridValidity, 0), (GridCoverage, 0), (GridTotalVariation, 1)):
        assert metric({}).measure(x)[:2] == (value, 0)


@pytest.mark.parametrize("metric", [GridValidity, GridCoverage, GridTotalVariation])
@pytest.mark.parametrize("weights", [[0.5, 0.2, 0.1, 0.01, 0.19], [0.3, 0.3, 0.3, 0.05, 0.05]])
def test_standard_errors_are_the_spread_over_draws_or_above_it(metric, weights):
    found = [metric({}).measure(drawn(60, weights, seed)) for seed in range(400)]
    spread, claimed = np.std([each.value for each in found]), np.sqrt(np.mean([each.stderr**2 for each in found]))
    assert 0.85 * spread < claimed < 2.5 * spread + 1e-9


def test_a_task_that_lists_no_grids_is_refused():
    with pytest.raises(ConfigError, match=r"evaluation\.metrics: Unlisted lists no grids; remove"):
        GridValidity({}).measure(Samples(Unlisted(), GRIDS, 0))
