"""Informed and leave-one-out correctors: their budget, and that one position at random leaves the law as it is."""

from dataclasses import replace

import pytest
import torch

from ladd.samplers.base import sample
from tests.samplers.known_answers import (
    ONES,
    PRIOR,
    all_masked,
    chi_square_excess,
    every_sequence,
    mixture,
    noise,
    number,
    product_law,
)
from tests.samplers.token_cases import Hollow, LeaveOneOut, corrector_step, make, soft_tables

COUNT = 8000
LAW = mixture(PRIOR, ONES)
BOTH = pytest.mark.parametrize("case", ["informed-corrector", "loo-gibbs"])


@BOTH
@pytest.mark.parametrize(
    ("steps", "order"), [(1, "p"), (2, "pp"), (3, "pcp"), (4, "ppcp"), (5, "pcpcp"), (8, "ppcpcpcp")]
)
def test_corrector_passes_are_part_of_the_budget(case, steps, order):
    sampler = make(case, soft_tables(4, 2), 2, token_steps=steps)
    made = list(sampler.steps(all_masked(1, 4, 2)))
    assert "".join("c" if step.s == step.t else "p" for step in made) == order
    assert [step.index for step in made] == list(range(steps))
    assert (float(made[0].t), float(made[-1].s)) == (1.0, 0.0)


def stationary(case: str, denoiser, law: torch.Tensor, t: float, start: torch.Tensor, **settings) -> torch.Tensor:
    """States after three corrector steps from draws of a law."""
    sampler = make(case, denoiser, 2, token_steps=9, **settings)
    state = replace(sampler.initialise(all_masked(len(start), start.shape[1], 2), noise(len(start), 3)), tokens=start)
    for index in range(3):
        state = sampler.update(state, replace(corrector_step(t), index=index + 5))
    return state.tokens


def drawn_from(law: torch.Tensor, length: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(6)
    return every_sequence(length)[torch.multinomial(law, COUNT, replacement=True, generator=generator)]


def test_gibbs_steps_of_the_informed_corrector_leave_the_law_as_it_is():
    exact = LAW.of_tokens()
    start = drawn_from(exact, 4)
    x = stationary("informed-corrector", Hollow(LAW), exact, 0.0, start, redraw=1, spread=1e6)
    assert abs(chi_square_excess(x, exact)) < 5
    assert float((x != start).any(dim=1).double().mean()) > 0.3


def test_gibbs_steps_under_uniform_noise_leave_the_noisy_law_as_it_is():
    denoiser = LeaveOneOut(every_sequence(4), LAW.of_tokens(), 2)
    noisy = denoiser.noisy_law(0.6)
    start = drawn_from(noisy, 4)
    x = stationary("loo-gibbs", denoiser, noisy, 0.4, start, redraw=1, spread=1e6)
    assert abs(chi_square_excess(x, noisy)) < 5
    assert float((x != start).any(dim=1).double().mean()) > 0.3


@BOTH
def test_correctors_bring_a_wrong_law_nearer(case):
    """From independent tokens with the right marginals, the total variation to the exact law falls."""
    exact, marginals = LAW.of_tokens(), product_law(PRIOR @ ONES)
    denoiser = Hollow(LAW) if case == "informed-corrector" else LeaveOneOut(every_sequence(4), exact, 2)
    x = stationary(case, denoiser, exact, 0.0, drawn_from(marginals, 4), redraw=1, spread=1e6)
    share = torch.bincount(number(x, 2), minlength=16) / len(x)
    assert float((share - exact).abs().sum() / 2) < 0.6 * float((marginals - exact).abs().sum() / 2)


def test_the_least_likely_token_is_drawn_anew():
    """Three tokens are nearly always equal: without noise the corrector chooses the one that differs."""
    tokens = every_sequence(3)
    probability = torch.where(tokens.sum(dim=1) % 3 == 0, 0.49, 0.02 / 6).double()
    law = mixture(torch.ones(1), torch.full((1, 3), 0.5))
    law.probability = probability
    wrong = torch.tensor([0, 1, 0]).expand(500, 3).clone()
    for case, denoiser in (("informed-corrector", Hollow(law)), ("loo-gibbs", LeaveOneOut(tokens, probability, 2))):
        sampler = make(case, denoiser, 2, token_steps=9, redraw=1, spread=0.0)
        state = replace(sampler.initialise(all_masked(500, 3, 2), noise(500)), tokens=wrong)
        x = sampler.update(state, corrector_step(0.0)).tokens
        assert (x[:, [0, 2]] == 0).all()
        assert float((x[:, 1] == 0).double().mean()) > 0.97  # 0.49 : 0.0033


@BOTH
def test_many_passes_of_the_exact_network_give_the_exact_law(case):
    exact = LAW.of_tokens()
    denoiser = Hollow(LAW) if case == "informed-corrector" else LeaveOneOut(every_sequence(4), exact, 2)
    sampler = make(case, denoiser, 2, token_steps=41, redraw=1, spread=1e6)
    x = sample(sampler, all_masked(COUNT // 2, 4, 2), noise(COUNT // 2)).tokens
    assert abs(chi_square_excess(x, exact)) < 5


def test_masks_are_not_corrected():
    sampler = make("informed-corrector", soft_tables(4, 2), 2, token_steps=5)
    state = sampler.initialise(all_masked(3, 4, 2), noise(3))
    after = sampler.update(state, corrector_step(0.5))
    assert (after.tokens == 2).all()
    assert (after.token_passes == 0).all()
