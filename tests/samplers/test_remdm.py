"""ReMDM: laws by enumeration of the paper's transition, and the two variants that have no such transition."""

import math
from dataclasses import replace

import pytest
import torch

from ladd.samplers.base import sample
from tests.samplers.known_answers import all_masked, chi_square_excess, noise, record
from tests.samplers.token_cases import chain_law, make, remasking, run, soft_tables

COUNT = 8000
TIMES = [1.0, 0.75, 0.5, 0.25, 0.0]


def largest(kept: float, shown: float) -> float:
    return min(1.0, (1 - shown) / kept) if kept > 0 else 1.0


@pytest.mark.parametrize(
    ("case", "sigma"),
    [
        ("remdm-cap", lambda kept, shown: min(0.8, largest(kept, shown))),
        ("remdm-rescale", lambda kept, shown: 0.8 * largest(kept, shown)),
    ],
)
def test_law_is_that_of_the_chain(case, sigma):
    denoiser = soft_tables(3, 2, 1.0)
    exact = chain_law(denoiser, 3, 2, TIMES, remasking(sigma))
    x = run(case, denoiser, all_masked(COUNT, 3, 2), noise(COUNT), 2, token_steps=4, remask=0.8).tokens
    assert abs(chi_square_excess(x, exact)) < 5
    ancestral = chain_law(denoiser, 3, 2, TIMES, remasking(lambda *_: 0.0))
    assert chi_square_excess(x, ancestral) > 8


def test_no_remasking_is_ancestral_sampling():
    denoiser = soft_tables(4, 3)
    calls = record(denoiser)
    x = run("remdm-cap", denoiser, all_masked(50, 4, 3), noise(50), 3, token_steps=7, remask=0.0)
    seen = [given for given, _ in calls]
    assert (x.token_passes <= 4).all()
    assert len(seen) <= 7
    plain = run("ancestral-truncated", denoiser, all_masked(50, 4, 3), noise(50), 3, token_steps=7, top_p=1.0, min_p=0)
    assert torch.equal(x.token_passes, plain.token_passes)  # the same positions at the same steps


def test_conf_masks_the_tokens_again_that_were_least_likely():
    """Position i is drawn with probability p_i; of those that are masked again, softmax(-p_i) are at i."""
    certain = torch.tensor([0.999999, 0.5, 0.5 + 1e-9, 0.999999], dtype=torch.float64)
    sampler = make("remdm-conf", soft_tables(4, 2), 2, token_steps=4)
    state = sampler.initialise(all_masked(20_000, 4, 2), noise(20_000))
    x = torch.zeros_like(state.tokens)
    state = replace(state, tokens=x, memory=certain.expand(len(x), 4))
    step = list(sampler.steps(x))[1]  # t = 0.75, s = 0.5: the largest sigma is 1
    after = sampler.move(state, step, x.bool(), None)
    rates = (after.tokens == 2).double().mean(dim=0)
    expected = torch.softmax(-certain, dim=0)
    assert rates.tolist() == pytest.approx(expected.tolist(), abs=5 * 0.5 / 20_000**0.5)
    assert after.memory[after.tokens == 2].isinf().all()
    assert torch.equal(after.memory[after.tokens != 2], state.memory[after.tokens != 2])


def test_conf_remembers_the_probability_of_what_it_drew():
    denoiser = soft_tables(4, 3)
    sampler = make("remdm-conf", denoiser, 3, token_steps=1)
    state = sampler.initialise(all_masked(30, 4, 3), noise(30))
    after = sampler.update(state, next(iter(sampler.steps(state.tokens))))
    p = denoiser(all_masked(1, 4, 3), torch.ones(1)).softmax(dim=-1).expand(30, 4, 3)
    torch.testing.assert_close(after.memory, p.gather(2, after.tokens[..., None])[..., 0])


def test_loop_rises_stays_and_finishes():
    sampler = make("remdm-loop", soft_tables(4, 2), 2, token_steps=20)
    steps = list(sampler.steps(all_masked(1, 4, 2)))
    alphas = [1 - float(step.s) for step in steps]
    assert float(steps[0].t) == 1.0
    assert alphas[-1] == 1.0
    assert alphas[:9] == pytest.approx([(k + 1) / 20 * 0.9 / 0.45 for k in range(9)])  # to 0.9 at t = 0.55
    assert alphas[9:19] == pytest.approx([0.9] * 10)  # to t = 0.05
    state = sampler.initialise(all_masked(2, 4, 2), noise(2))
    assert [float(sampler.sigma(state, step)) for step in steps] == [0] * 9 + [0.1] * 10 + [0]


def test_loop_draws_tokens_again_while_alpha_is_held():
    denoiser, changed = soft_tables(20, 3), []
    sampler = make("remdm-loop", denoiser, 3, token_steps=40, remask=0.1)
    before = all_masked(100, 20, 3)

    def check(step, state):
        nonlocal before
        changed.append(float(((before < 3) & (state.tokens == 3)).double().mean()))
        before = state.tokens

    sample(sampler, before, noise(100), check)
    held = changed[20:36]
    assert sum(held) / len(held) == pytest.approx(0.9 * 0.1, abs=5 * math.sqrt(0.09 / 2000 / 16))
    assert max(changed[:17] + changed[38:]) == 0
