"""Path planning: without remasking a random order; with it, tokens that do not fit the others are drawn again."""

from dataclasses import replace

import pytest
import torch

from ladd.samplers.base import sample
from tests.samplers.known_answers import all_masked, chi_square_excess, mixture, noise
from tests.samplers.token_cases import Hollow, any_order_law, make, run, soft_tables

COUNT = 8000


def test_without_remasking_and_with_random_scores_the_order_is_random():
    denoiser = soft_tables(3, 2, 1.0)
    x = run("path-planning-random", denoiser, all_masked(COUNT, 3, 2), noise(COUNT), 2, token_steps=3)
    assert abs(chi_square_excess(x.tokens, any_order_law(denoiser, 3, 2))) < 5
    assert (x.token_passes == 3).all()


@pytest.mark.parametrize(("remask", "comes_back"), [(0.0, False), (3.0, True)])
def test_tokens_are_masked_again_only_if_asked(remask, comes_back):
    again, before = 0, all_masked(200, 8, 3)

    def count(step, state):
        nonlocal again, before
        masked = state.tokens == 3
        assert (masked.sum(dim=1) == 8 - min(8, -(-8 * (step.index + 1) // 5))).all()
        again += int((masked & (before < 3)).sum())
        before = state.tokens

    sampler = make("path-planning", soft_tables(8, 3), 3, token_steps=5, remask=remask)
    sample(sampler, before, noise(200), count)
    assert (again > 0) == comes_back


def test_wrong_tokens_are_put_right():
    """Three tokens are nearly always equal; of a state with one that differs, a step masks that one."""
    tokens = torch.cartesian_prod(*[torch.arange(2)] * 3)
    law = mixture(torch.ones(1), torch.full((1, 3), 0.5))
    law.probability = torch.where(tokens.sum(dim=1) % 3 == 0, 0.49, 0.02 / 6).double()
    sampler = make("path-planning", Hollow(law), 2, token_steps=3, remask=1.0)
    state = sampler.initialise(all_masked(300, 3, 2), noise(300))
    wrong = torch.tensor([0, 1, 0]).expand(300, 3).clone()
    step = list(sampler.steps(wrong))[1]  # two of three tokens stay
    after = sampler.update(replace(state, tokens=wrong), step)
    assert ((after.tokens == torch.tensor([0, 2, 0])).all(dim=1)).all()
