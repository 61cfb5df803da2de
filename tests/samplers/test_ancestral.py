"""MDLM: samples of the exact posterior denoiser have the law of the data."""

import pytest
import torch

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.samplers.ancestral import Ancestral
from ladd.tasks.sawtooth import SawtoothReference
from tests.samplers.known_answers import (
    LINEAR,
    all_masked,
    chi_square_excess,
    draw,
    every_sequence,
    noise,
    product_law,
    record,
    token_source,
)

TOKENS, FLOOR, COUNT = 6, 0.15, 10_000
REFERENCE = SawtoothReference(TOKENS, 2, FLOOR, 64)
EXACT = REFERENCE.log_likelihood(every_sequence(TOKENS)).exp()
MARGINALS = REFERENCE(all_masked(1, TOKENS, 2))[0, :, 1].exp()


def sample(steps: int, schedule: str = "linear", given: torch.Tensor | None = None, **options) -> torch.Tensor:
    x = all_masked(COUNT, TOKENS, 2) if given is None else given
    source = token_source(REFERENCE, MaskedProcess(DISCRETE_SCHEDULES[schedule], 2))
    return draw(Ancestral, source, x, noise(COUNT), token_steps=steps, **options).tokens


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_many_steps_give_the_exact_law(schedule):
    assert abs(chi_square_excess(sample(200, schedule), EXACT)) < 5


def test_one_step_gives_the_product_of_the_marginals():
    x = sample(1)
    assert abs(chi_square_excess(x, product_law(MARGINALS))) < 5
    assert chi_square_excess(x, EXACT) > 50


def test_temperature_sharpens_the_marginals():
    given = all_masked(COUNT, TOKENS, 2)
    given[:, 0] = 1
    p = REFERENCE(given[:1])[0, :, 1].exp()[1:]
    sharpened = p**2 / (p**2 + (1 - p) ** 2)
    x = sample(1, given=given, temperature=0.5)
    assert abs(chi_square_excess(x[:, 1:], product_law(sharpened))) < 5
    assert chi_square_excess(x[:, 1:], product_law(p)) > 50


def test_infilling_draws_from_the_conditional_law():
    given = all_masked(COUNT, TOKENS, 2)
    given[:, [1, 4]] = torch.tensor([1, 0])
    x = sample(200, given=given)
    match = (every_sequence(TOKENS)[:, [1, 4]] == torch.tensor([1, 0])).all(dim=1)
    conditional = EXACT[match] / EXACT[match].sum()
    assert abs(chi_square_excess(x[:, [0, 2, 3, 5]], conditional)) < 5


def test_number_of_revealed_tokens_follows_the_schedule():
    calls = record(reference := SawtoothReference(64, 2, FLOOR, 8))
    source = token_source(reference, MaskedProcess(LINEAR, 2))
    draw(Ancestral, source, all_masked(200, 64, 2), noise(200), token_steps=4)
    rates = [float((x == 2).double().mean()) for x, _ in calls]
    assert rates == pytest.approx([1.0, 0.75, 0.5, 0.25], abs=0.02)
    assert [float(t[0]) for _, t in calls] == [1.0, 0.75, 0.5, 0.25]
