"""Psi samplers: remasking under masks, the same rule under uniform noise, ancestral sampling at kappa = 1."""

import pytest
import torch

from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample
from tests.samplers.known_answers import all_masked, chi_square_excess, draw, noise, product_law, token_source
from tests.samplers.token_cases import LeaveOneOut, chain_law, make, process_of, remasking, run, soft_tables

COUNT = 8000
TIMES = [1.0, 0.75, 0.5, 0.25, 0.0]
ONES = torch.tensor([0.2, 0.6, 0.9], dtype=torch.float64)


def test_law_under_masks_is_that_of_the_chain():
    denoiser = soft_tables(3, 2, 1.0)
    exact = chain_law(denoiser, 3, 2, TIMES, remasking(lambda kept, shown: 0.6 * (1 - shown)))
    x = run("psi", denoiser, all_masked(COUNT, 3, 2), noise(COUNT), 2, token_steps=4, kappa=0.4).tokens
    assert abs(chi_square_excess(x, exact)) < 5


def test_kappa_outside_of_its_times_is_1():
    sampler = make("psi", soft_tables(3, 2), 2, token_steps=4, kappa=0.4, between=[0.4, 0.8])
    assert [float(sampler.kappa_at(step)) for step in sampler.steps(all_masked(1, 3, 2))] == [1.0, 0.4, 0.4, 1.0]


def test_kappa_1_is_ancestral_sampling_of_the_uniform_process():
    denoiser, start = soft_tables(5, 3), all_masked(60, 5, 3)
    x = run("psi-uniform", denoiser, start, noise(60), 3, token_steps=6, kappa=1.0).tokens
    source = token_source(denoiser, process_of("psi-uniform", 3))
    assert torch.equal(x, draw(Ancestral, source, start, noise(60), token_steps=6).tokens)


@pytest.mark.parametrize("kappa", [0.0, 0.5])
def test_marginals_of_the_uniform_process_are_kept_at_every_step(kappa):
    """With independent tokens and the exact network p(x_s) is the forward process's: alpha_s p + (1 - alpha_s) / V."""
    sequences = torch.cartesian_prod(*[torch.arange(2)] * 3)
    denoiser = LeaveOneOut(sequences, product_law(ONES), 2)
    sampler, excess = make("psi-uniform", denoiser, 2, token_steps=5, kappa=kappa), []

    def check(step, state):
        kept = 1 - step.s
        excess.append(chi_square_excess(state.tokens, product_law(kept * ONES + (1 - kept) / 2)))

    sample(sampler, all_masked(COUNT, 3, 2), noise(COUNT), check)
    assert len(excess) == 5
    assert max(excess) < 5
