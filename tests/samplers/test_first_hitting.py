"""First-hitting: the law of ancestral sampling with infinitely many steps, with a pass for each token."""

import itertools

import pytest
import torch

from ladd.samplers.first_hitting import FirstHitting
from tests.samplers.known_answers import all_masked, chi_square_excess, noise, record
from tests.samplers.token_cases import any_order_law, make, path_law, run, soft_tables

COUNT = 8000


def test_law_is_that_of_all_orders_alike_one_token_at_a_time():
    """Of an inexact network, whose law depends on the order; ancestral sampling comes to the same law."""
    denoiser = soft_tables(3, 2, 1.0)
    exact = any_order_law(denoiser, 3, 2)
    x = run("first-hitting", denoiser, all_masked(COUNT, 3, 2), noise(COUNT), 2, token_steps=3)
    assert abs(chi_square_excess(x.tokens, exact)) < 5
    assert (x.token_passes == 3).all()
    settings = {"token_steps": 200, "top_p": 1.0, "min_p": 0.0}
    many = run("ancestral-truncated", denoiser, all_masked(COUNT, 3, 2), noise(COUNT, 1), 2, **settings)
    assert abs(chi_square_excess(many.tokens, exact)) < 5
    ordered = path_law(denoiser, 3, 2, lambda _, __, step: [step])
    assert chi_square_excess(x.tokens, ordered) > 20  # what it could be taken for


def test_given_tokens_leave_as_many_passes_as_there_are_masks():
    given = all_masked(40, 6, 2)
    given[:20, :2], given[20:, 1:] = 1, 0
    samples = run("first-hitting", soft_tables(6, 2), given, noise(40), 2, token_steps=6)
    assert samples.token_passes.tolist() == [4] * 20 + [1] * 20


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_network_is_told_the_times_at_which_the_process_reveals(schedule):
    """1 - alpha of the k-th of N reveals has the mean of an order statistic of N uniform numbers."""
    denoiser = soft_tables(5, 2)
    calls, sampler = record(denoiser), make("first-hitting", denoiser, 2, schedule=schedule, token_steps=5)
    run("first-hitting", denoiser, all_masked(4000, 5, 2), noise(4000), 2, token_steps=5, schedule=schedule)
    levels = torch.stack([1 - sampler.process.schedule.alpha(t) for _, t in calls if len(t) == 4000])
    means = levels.mean(dim=1).tolist()
    expected = [(5 - k) / 6 for k in range(5)][-len(means) :]
    assert means == pytest.approx(expected, abs=5 * 0.18 / 4000**0.5)
    assert (levels.diff(dim=0) < 0).all()


@pytest.mark.parametrize(("steps", "sizes"), [(1, [6]), (2, [3, 3]), (4, [2, 1, 2, 1]), (6, [1] * 6), (9, [1] * 6)])
def test_fewer_passes_reveal_equal_groups(steps, sizes):
    denoiser = soft_tables(6, 2)
    calls = record(denoiser)
    x = run("first-hitting", denoiser, all_masked(30, 6, 2), noise(30), 2, token_steps=steps, share_rows=False)
    left = [int((x == 2).sum(dim=1).unique()) for x, _ in calls] + [0]
    assert [a - b for a, b in itertools.pairwise(left)] == sizes
    assert (x.token_passes == len(sizes)).all()


def test_it_cannot_share_one_time():
    assert not FirstHitting.on_grid
