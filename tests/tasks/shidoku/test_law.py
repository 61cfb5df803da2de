"""Exact laws of samplers against brute force, Monte Carlo, and what they must add up to."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch

from ladd.samplers.ancestral import Ancestral
from ladd.tasks.shidoku.grids import CELLS, SIDE, ShidokuReference, all_grids, symmetries
from ladd.tasks.shidoku.law import ExactLaw, ancestral_laws, classes_of, uniform_law
from tests.samplers.known_answers import all_masked, draw, noise, token_source

IDENTITY = np.arange(CELLS)[None]
LATIN = np.array([[0, 1, 1, 0], [1, 0, 0, 1]])  # 2 x 2 squares with each value once in a row and column
# All that has the pattern 0 0 1 or 0 1 2 in three values: closed under a renaming, with two classes, and no symmetry.
UNEVEN = np.array([each for each in product(range(3), repeat=3) if each[2] not in each[:2]])


def posterior(grids: np.ndarray, values: int, seen: np.ndarray, x: np.ndarray) -> np.ndarray:
    """p(value | x at the positions seen), (N, values); uniform where nothing agrees."""
    agreeing = grids[(grids[:, seen] == x[seen]).all(axis=1)]
    if not len(agreeing):
        return np.full((len(x), values), 1 / values)
    return (agreeing[:, :, None] == np.arange(values)).mean(axis=0)


def brute_force(grids: np.ndarray, values: int, x: np.ndarray, steps: int) -> float:
    """P(x) as the mean over all assignments of steps to positions of the product of the draws' probabilities."""
    total, places = 0.0, np.arange(len(x))
    for when in product(range(steps), repeat=len(x)):
        at = np.array(when)
        total += math.prod(posterior(grids, values, at < at[i], x)[i, x[i]] for i in places)
    return total / steps ** len(x)


@pytest.mark.parametrize(("grids", "values"), [(LATIN, 2), (UNEVEN, 3)])
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_law_is_the_brute_force_sum_over_reveal_times(grids, values, steps):
    law = ancestral_laws(grids, steps, np.arange(grids.shape[1])[None])[steps - 1]
    expected = [brute_force(grids, values, x, steps) for x in grids]
    np.testing.assert_allclose(law.probability, expected, rtol=1e-12)
    everything = product(range(values), repeat=grids.shape[1])
    invalid = sum(brute_force(grids, values, np.array(x), steps) for x in everything if list(x) not in grids.tolist())
    assert law.valid + invalid == pytest.approx(1, abs=1e-12)


@pytest.fixture(scope="module")
def laws() -> list[ExactLaw]:
    return ancestral_laws(all_grids(), 64, symmetries())


def test_one_step_is_a_draw_from_the_marginals(laws):
    np.testing.assert_allclose(laws[0].probability, 4.0**-16, rtol=1e-9)


def test_two_steps_are_the_sum_over_the_positions_that_come_first(laws):
    """Over all 2^16 of them: first each revealed value has probability 1/4, then the rest that of the posterior."""
    grids = all_grids().astype(np.int64)
    sets = (np.arange(1 << CELLS)[:, None] >> np.arange(CELLS)) & 1
    for number in (0, 100):
        same = grids == grids[number]
        agreeing = (sets @ (1 - same.T) == 0).astype(float)  # (2^16, 288)
        shares = (agreeing @ same) / agreeing.sum(axis=1, keepdims=True)
        products = np.where(sets == 1, 0.25, shares).prod(axis=1)
        assert laws[1].probability[number] == pytest.approx(products.mean(), rel=1e-9)


def test_symmetries_do_not_change_the_law(laws):
    """Grids of one class have one probability, and there are classes of 96 and 192 grids."""
    classes = classes_of(all_grids(), symmetries())
    assert sorted(np.bincount(classes)) == [96, 192]
    without = classes_of(all_grids(), IDENTITY)  # renaming of values alone: every one of 288 / 24 classes is different
    assert np.bincount(without).tolist() == [24] * 12


@pytest.mark.parametrize("steps", [2, 4, 16])
def test_samples_of_the_exact_denoiser_have_the_law(laws, steps):
    count, exact = 4000, ShidokuReference(all_grids())
    x = draw(
        Ancestral, token_source(exact, exact.process), all_masked(count, CELLS, SIDE), noise(count), token_steps=steps
    )
    same = (x.tokens[:, None] == torch.from_numpy(all_grids().astype(np.int64))).all(dim=-1)
    law, classes = laws[steps - 1], classes_of(all_grids(), symmetries())
    for each in (0, 1):
        expected = law.probability[classes == each].sum()
        found = float(same[:, torch.from_numpy(classes == each)].any(dim=1).double().mean())
        assert abs(found - expected) < 4 * math.sqrt(expected * (1 - expected) / count)


def test_more_steps_are_nearer_to_the_data_and_many_steps_reach_it(laws):
    valid = [law.valid for law in laws]
    distances, divergences = [law.total_variation for law in laws], [law.divergence for law in laws]
    assert valid == sorted(valid)
    assert distances == sorted(distances, reverse=True)
    assert divergences == sorted(divergences, reverse=True)
    assert min(distances) > 0
    # With all but no two positions at one step the law is exact: what is missing is at most that probability.
    assert 1 - laws[-1].valid < CELLS * (CELLS - 1) / 2 / len(laws)


def test_expected_values_of_samples_are_those_of_drawn_ones():
    probability = np.array([0.3, 0.2, 0.1, 0.05])  # 0.35 is left for what is not valid
    law, n, draws = ExactLaw(probability), 50, 20_000
    counts = np.random.default_rng(0).multinomial(n, [*probability, 0.35], size=draws)
    distances = 0.5 * (np.abs(counts[:, :4] / n - 0.25).sum(axis=1) + counts[:, 4] / n)
    covered = (counts[:, :4] > 0).sum(axis=1)
    for found, expected in ((distances, law.expected_total_variation(n)), (covered, law.expected_coverage(n))):
        assert abs(found.mean() - expected) < 4 * found.std() / math.sqrt(draws)
    assert law.total_variation == pytest.approx(0.5 * (0.05 + 0.05 + 0.15 + 0.2 + 0.35))
    assert law.expected_total_variation(n) > law.total_variation


def test_perfect_samples_are_expected_to_be_off_the_uniform_law_and_it_is_not():
    law = uniform_law(288)
    assert law.total_variation == pytest.approx(0, abs=1e-12)
    assert law.divergence == pytest.approx(0, abs=1e-12)
    # De Moivre: the mean absolute deviation of a binomial is 2 v C(n, v) p^v (1 - p)^(n - v + 1).
    n, p, v = 2000, 1 / 288, 7
    log = math.log(2 * v * math.comb(n, v)) + v * math.log(p) + (n - v + 1) * math.log1p(-p)
    assert law.expected_total_variation(n) == pytest.approx(0.5 * 288 * math.exp(log) / n, rel=1e-9)
    assert law.expected_coverage(n) == pytest.approx(288 * (1 - (287 / 288) ** 2000))
