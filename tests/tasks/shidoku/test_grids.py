"""Grids and the exact posterior against the rules and against counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ladd.tasks.shidoku.grids import CELLS, SIDE, ShidokuReference, all_grids, symmetries

MASK = SIDE


def groups() -> list[list[int]]:
    """The 12 sets of cells that hold each value once."""
    rows = [[SIDE * row + column for column in range(SIDE)] for row in range(SIDE)]
    columns = [[SIDE * row + column for row in range(SIDE)] for column in range(SIDE)]
    boxes = [[SIDE * (a + i) + b + j for i in (0, 1) for j in (0, 1)] for a in (0, 2) for b in (0, 2)]
    return rows + columns + boxes


def holds(grid: np.ndarray) -> bool:
    return all(sorted(grid[cells]) == [0, 1, 2, 3] for cells in groups())


def test_there_are_288_different_grids_and_all_obey_the_rules():
    grids = all_grids()
    assert (grids.shape, grids.dtype) == ((288, CELLS), np.uint8)
    assert len(np.unique(grids, axis=0)) == 288
    assert all(holds(grid) for grid in grids)


def test_no_grid_is_missing():
    """A first row, times the completions of one of them found by filling cells in turn."""

    def completions(cells: list[int]) -> int:
        if len(cells) == CELLS:
            return 1
        place = len(cells)
        met = {cells[other] for group in groups() if place in group for other in group if other < place}
        return sum(completions([*cells, value]) for value in range(SIDE) if value not in met)

    assert 24 * completions([0, 1, 2, 3]) == len(all_grids())


def test_symmetries_are_a_group_that_takes_grids_to_grids():
    moved, known = symmetries(), {tuple(grid) for grid in all_grids().tolist()}
    assert moved[0].tolist() == list(range(CELLS))
    assert len({tuple(each) for each in moved.tolist()}) == len(moved) == 128
    assert {tuple(a[b]) for a in moved for b in moved} == {tuple(each) for each in moved.tolist()}
    for each in moved:
        assert {tuple(grid) for grid in all_grids()[:, each].tolist()} == known


@pytest.mark.parametrize("revealed", [0, 1, 3, 6, 12, 16])
def test_posterior_is_the_share_among_the_grids_that_agree(revealed):
    generator, grids = np.random.default_rng(revealed), all_grids().astype(int)
    exact = ShidokuReference(all_grids())
    for grid in grids[generator.integers(288, size=20)]:
        shown = generator.permutation(CELLS)[:revealed]
        x = np.full(CELLS, MASK)
        x[shown] = grid[shown]
        agreeing = grids[(grids[:, shown] == grid[shown]).all(axis=1)]
        shares = (agreeing[:, :, None] == np.arange(SIDE)).mean(axis=0)
        np.testing.assert_allclose(exact(torch.tensor(x)[None])[0].exp(), shares, atol=1e-12)


def test_after_a_contradiction_the_posterior_is_uniform():
    x = torch.full((2, CELLS), MASK)
    x[:, :2] = 1  # a row with one value twice
    torch.testing.assert_close(ShidokuReference(all_grids())(x).exp(), torch.full((2, CELLS, SIDE), 0.25).double())
