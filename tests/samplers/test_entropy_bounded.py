"""Entropy-bounded: laws by enumeration, and passes that differ from sample to sample."""

import pytest
import torch
from torch import Tensor

from tests.samplers.known_answers import ONES, PRIOR, ExactTokenDenoiser, all_masked, chi_square_excess, mixture, noise
from tests.samplers.token_cases import Hollow, path_law, run, soft_tables

COUNT = 8000


def within(gamma: float):
    """The longest beginning of the masked positions, by entropy, whose entropies but the largest add up to gamma."""

    def choose(state: tuple[int, ...], log_p: Tensor, _: int) -> list[int]:
        entropy = (-(log_p.exp() * log_p).sum(dim=1)).tolist()
        masked = sorted((i for i, value in enumerate(state) if value == log_p.shape[1]), key=lambda i: entropy[i])
        sizes = range(1, len(masked) + 1)
        fits = [k for k in sizes if sum(entropy[i] for i in masked[:k]) - entropy[masked[k - 1]] <= gamma]
        return masked[: max(fits)]

    return choose


@pytest.mark.parametrize("gamma", [0.0, 0.6, 1.3, 9.0])
def test_law_is_that_of_the_longest_beginnings(gamma):
    denoiser = soft_tables(4, 2, 1.0)
    x = run("entropy-bounded", denoiser, all_masked(COUNT, 4, 2), noise(COUNT), 2, token_steps=4, gamma=gamma)
    assert abs(chi_square_excess(x.tokens, path_law(denoiser, 4, 2, within(gamma)))) < 5
    passes = x.token_passes.unique().tolist()
    assert passes == {0.0: [4], 9.0: [1]}.get(gamma, passes)
    if gamma == 0.6:
        assert len(passes) > 1


def test_gamma_0_of_the_exact_network_gives_the_exact_law():
    law = mixture(PRIOR, ONES)
    x = run(
        "entropy-bounded", ExactTokenDenoiser(law), all_masked(COUNT, 4, 2), noise(COUNT), 2, token_steps=4, gamma=0
    )
    assert abs(chi_square_excess(x.tokens, law.of_tokens())) < 5


def test_the_last_pass_reveals_all_that_is_left():
    x = run("entropy-bounded", soft_tables(6, 2), all_masked(40, 6, 2), noise(40), 2, token_steps=2, gamma=0.0)
    assert (x.token_passes == 2).all()
    assert (x.tokens < 2).all()


def test_what_follows_for_certain_takes_no_pass_of_its_own():
    """Two equal tokens, and two that are free: once one of the equal ones is there, the other is certain."""
    tokens = torch.cartesian_prod(*[torch.arange(2)] * 4)
    codes = torch.zeros(16, 1, dtype=torch.long)
    law = mixture(torch.ones(1), torch.full((1, 4), 0.5))
    law.probability = (tokens[:, 0] == tokens[:, 1]).double() / 8
    law.codes = codes
    x = run("entropy-bounded", Hollow(law), all_masked(200, 4, 2), noise(200), 2, token_steps=4, gamma=0.0)
    assert (x.tokens[:, 0] == x.tokens[:, 1]).all()
    assert set(x.token_passes.tolist()) <= {3, 4}
    assert x.token_passes.double().mean() < 3.5
