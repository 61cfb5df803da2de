"""Exact references of the sawtooth against brute force and published values."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.evaluation.estimate import estimate
from ladd.samplers.ancestral import Ancestral
from ladd.tasks.sawtooth import MIN_FLOOR, SawtoothReference, draw_sequences, one_probability
from tests.samplers.known_answers import (
    LINEAR,
    all_masked,
    chi_square_excess,
    draw,
    every_sequence,
    noise,
    token_source,
)

FLOOR = 0.01


def reference(tokens: int, grid: int = 512, floor: float = FLOOR) -> SawtoothReference:
    return SawtoothReference(tokens, 2, floor, grid)


@pytest.mark.parametrize("tokens", [1, 2, 5, 8])
def test_probabilities_of_all_sequences_sum_to_one(tokens):
    total = reference(tokens).log_likelihood(every_sequence(tokens)).exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-12)


def test_likelihood_is_that_of_drawn_sequences():
    exact, count = reference(3, floor=0.1), 10_000
    x = torch.from_numpy(draw_sequences(count, 0, "test", tokens=3, periods=2, floor=0.1)).long()
    assert abs(chi_square_excess(x, exact.log_likelihood(every_sequence(3)).exp())) < 5


def test_quadrature_has_converged():
    x = torch.from_numpy(draw_sequences(50, 0, "test", tokens=64, periods=2, floor=FLOOR)).long()
    coarse, fine = (reference(64, grid).log_likelihood(x) for grid in (512, 4096))
    torch.testing.assert_close(coarse, fine, rtol=0, atol=2e-3)


@pytest.mark.parametrize("tokens", [3, 6])
def test_posterior_is_the_brute_force_conditional(tokens):
    exact, sequences = reference(tokens, 64), every_sequence(tokens)
    probabilities = exact.log_likelihood(sequences).exp()
    for x in every_sequence(tokens, 3):
        fits = ((x == sequences) | (x == 2)).all(dim=1)
        weight = probabilities * fits
        posterior = exact(x[None])[0].exp()
        for i in (x == 2).nonzero()[:, 0].tolist():
            expected = weight[sequences[:, i] == 1].sum() / weight.sum()
            torch.testing.assert_close(posterior[i], torch.stack([1 - expected, expected]))


def test_posterior_stays_between_the_floor_and_one_minus_the_floor():
    generator = torch.Generator().manual_seed(0)
    sequence = torch.from_numpy(draw_sequences(1, 0, "test", tokens=64, periods=2, floor=FLOOR)).long()
    # One more token is revealed from row to row, of a real sequence and of one that no shift explains.
    for x in (sequence, torch.randint(2, (1, 64), generator=generator)):
        order = torch.randperm(64, generator=generator)
        revealed = torch.arange(65)[:, None] > order
        posterior = reference(64)(torch.where(revealed, x, 2)).exp()
        torch.testing.assert_close(posterior.sum(dim=-1), torch.ones(65, 64).double())
        assert posterior.min() >= FLOOR - 1e-12
        assert posterior.max() <= 1 - FLOOR + 1e-12


@pytest.mark.parametrize("floor", [MIN_FLOOR, 0.01, 0.4])
def test_likelihood_and_posterior_are_sums_over_the_grid_even_where_it_meets_the_peak_at_the_smallest_floor(floor):
    tokens, grid = 8, 2
    ones = torch.from_numpy(one_probability((np.arange(grid) + 0.5) / grid / 2, tokens, 2, floor))
    assert ones.min() == pytest.approx(floor, rel=1e-9)  # the grid meets both ends
    assert ones.max() == pytest.approx(1 - floor, rel=1e-9)
    exact, sequences = reference(tokens, grid, floor), every_sequence(tokens)
    joint = torch.where(sequences[:, None] == 1, ones, 1 - ones).prod(dim=-1)  # (2^N, G)
    torch.testing.assert_close(exact.log_likelihood(sequences).exp(), joint.mean(dim=1), rtol=1e-6, atol=0)
    weight = joint / joint.sum(dim=1, keepdim=True)
    torch.testing.assert_close(exact(sequences)[..., 1].exp(), weight @ ones, rtol=1e-6, atol=0)
    expected = -(ones * ones.log() + (1 - ones) * (1 - ones).log()).mean()
    assert exact.oracle_loss() == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("tokens", [1, 32, 128])
def test_oracle_loss_is_the_published_value_for_every_length(tokens):
    assert reference(tokens).oracle_loss() == pytest.approx(0.50958, abs=1e-4)


@pytest.mark.parametrize(("tokens", "published"), [(32, 0.5675), (64, 0.5454)])
def test_entropy_rate_is_the_published_value(tokens, published):
    x = torch.from_numpy(draw_sequences(8000, 0, "test", tokens=tokens, periods=2, floor=FLOOR)).long()
    rate = estimate(-reference(tokens, 256).log_likelihood(x) / tokens)
    assert rate.stderr < 0.001
    assert abs(rate.value - published) < 4 * math.hypot(rate.stderr, 0.0005)


class OracleDenoiser(nn.Module):
    """Told the grid point of every sample's shift."""

    def __init__(self, exact, points):
        super().__init__()
        self.table, self.token_head = exact.log_table[points], nn.Identity()

    def forward(self, x, t):
        return self.table


def test_oracle_gives_the_exact_law_in_one_step():
    exact, count = reference(4, 16, floor=0.1), 10_000
    points = (noise(count).uniform("point", 0, 1)[:, 0] * 16).long()
    oracle = OracleDenoiser(exact, points)
    source = token_source(oracle, MaskedProcess(LINEAR, 2))
    x = draw(Ancestral, source, all_masked(count, 4, 2), noise(count)).tokens
    assert abs(chi_square_excess(x, exact.log_likelihood(every_sequence(4)).exp())) < 5
