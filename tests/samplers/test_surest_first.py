"""Adaptive and semi-autoregressive orders: laws by enumeration, and known orders."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.samplers.known_answers import (
    ONES,
    PRIOR,
    ExactTokenDenoiser,
    all_masked,
    chi_square_excess,
    mixture,
    noise,
    record,
)
from tests.samplers.token_cases import any_order_law, path_law, run, soft_tables

COUNT = 8000


def surest(score: Callable[[Tensor], Tensor], size: int, block: int = 99):
    """Up to `size` masked positions of the highest scores, earlier blocks first."""

    def choose(state: tuple[int, ...], log_p: Tensor, _: int) -> list[int]:
        masked = [position for position, value in enumerate(state) if value == log_p.shape[1]]
        scores = score(log_p)
        return sorted(masked, key=lambda position: (position // block, -float(scores[position])))[:size]

    return choose


SCORES = {
    "confidence": lambda log_p: log_p.amax(dim=1),
    "margin": lambda log_p: log_p.exp().sort(dim=1).values[:, -1] - log_p.exp().sort(dim=1).values[:, -2],
    "entropy": lambda log_p: (log_p.exp() * log_p).sum(dim=1),
}


@pytest.mark.parametrize("by", SCORES)
@pytest.mark.parametrize(("steps", "size"), [(3, 1), (2, 2)])
def test_law_is_the_product_along_the_surest_path(by, steps, size):
    """Of an inexact network with three values, where the three scores choose different paths."""
    denoiser = soft_tables(3, 3, 0.5)
    exact = path_law(denoiser, 3, 3, surest(SCORES[by], size))
    settings = {"token_steps": steps, "by": by}
    x = run("surest-first", denoiser, all_masked(COUNT, 3, 3), noise(COUNT), 3, **settings)
    assert abs(chi_square_excess(x.tokens, exact, 3)) < 5
    assert (x.token_passes == steps).all()


def test_the_three_scores_are_different():
    denoiser = soft_tables(3, 3, 0.5)
    laws = [path_law(denoiser, 3, 3, surest(score, 1)) for score in SCORES.values()]
    assert min(float((a - b).abs().sum()) for a in laws for b in laws if a is not b) > 0.01


@pytest.mark.parametrize(("case", "settings"), [("surest-first", {}), ("semi-autoregressive", {"block": 2})])
def test_a_pass_per_token_of_the_exact_network_gives_the_exact_law(case, settings):
    law = mixture(PRIOR, ONES)
    x = run(case, ExactTokenDenoiser(law), all_masked(COUNT, 4, 2), noise(COUNT), 2, token_steps=4, **settings).tokens
    assert abs(chi_square_excess(x, law.of_tokens())) < 5


def test_a_large_spread_makes_the_order_random():
    denoiser = soft_tables(3, 2, 1.0)
    settings = {"token_steps": 3, "spread": 1e5}
    x = run("surest-first", denoiser, all_masked(COUNT, 3, 2), noise(COUNT), 2, **settings).tokens
    assert abs(chi_square_excess(x, any_order_law(denoiser, 3, 2))) < 5
    assert chi_square_excess(x, path_law(denoiser, 3, 2, surest(SCORES["confidence"], 1))) > 20


@pytest.mark.parametrize(("steps", "left"), [(4, [6, 4, 3, 1]), (3, [6, 4, 2]), (9, [6, 5, 4, 3, 2, 1])])
def test_steps_reveal_equal_numbers(steps, left):
    denoiser = soft_tables(6, 2)
    calls = record(denoiser)
    run("surest-first", denoiser, all_masked(12, 6, 2), noise(12), 2, token_steps=steps, share_rows=False)
    assert [(x == 2).sum(dim=1).unique().tolist() for x, _ in calls] == [[count] for count in left]


@pytest.mark.parametrize(("block", "steps"), [(2, 6), (2, 3), (3, 2), (4, 3), (1, 6)])
def test_blocks_are_filled_from_left_to_right(block, steps):
    denoiser = soft_tables(6, 2)
    calls, given = record(denoiser), all_masked(12, 6, 2)
    given[:6, 3] = 1
    run("semi-autoregressive", denoiser, given, noise(12), 2, token_steps=steps, block=block, share_rows=False)
    assert len(calls) > 1
    for x, _ in calls:
        for row in x.tolist():
            drawn = [position // block for position, value in enumerate(row) if value < 2 and position != 3]
            masked = [position // block for position, value in enumerate(row) if value == 2]
            assert not drawn or not masked or max(drawn) <= min(masked)


def test_law_of_blocks_is_the_product_along_the_path_and_one_block_is_surest_first():
    denoiser = soft_tables(4, 2, 1.0)
    start, draws = all_masked(COUNT, 4, 2), noise(COUNT)
    x = run("semi-autoregressive", denoiser, start, draws, 2, token_steps=4, block=2).tokens
    assert abs(chi_square_excess(x, path_law(denoiser, 4, 2, surest(SCORES["confidence"], 1, block=2)))) < 5
    whole = run("semi-autoregressive", denoiser, start, draws, 2, token_steps=4, block=4).tokens
    assert torch.equal(whole, run("surest-first", denoiser, start, draws, 2, token_steps=4).tokens)
    left_to_right = run("semi-autoregressive", denoiser, start, draws, 2, token_steps=4, block=1).tokens
    assert not torch.equal(whole, left_to_right)
    assert abs(chi_square_excess(left_to_right, path_law(denoiser, 4, 2, lambda _, __, step: [step]))) < 5
