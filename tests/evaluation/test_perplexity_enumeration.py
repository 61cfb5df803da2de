"""Validation perplexity of masked diffusion against exact enumeration on a tiny vocabulary.

The bound of a denoiser that is wrong is no likelihood, so it is enumerated: over every set of masked positions, with
the weight that the time integral gives it.
"""

import itertools
import math

import pytest
import torch
from torch import nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.evaluation.bounds import BoundSettings, token_bound
from ladd.evaluation.estimate import estimate, perplexity

VOCABULARY, TOKENS, MASK = 3, 3, 3
EVERY = torch.cartesian_prod(*[torch.arange(VOCABULARY)] * TOKENS)  # (27, 3)


class RandomDenoiser(nn.Module):
    """Arbitrary log-probabilities for each of the 4^3 partly masked sequences: not the denoiser of any law."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        logits = 1.5 * torch.randn((VOCABULARY + 1) ** TOKENS, TOKENS, VOCABULARY, generator=generator)
        self.table, self.token_head = logits.double().log_softmax(dim=-1), nn.Identity()

    def forward(self, x, t):
        return self.table[(x * torch.tensor([16, 4, 1])).sum(dim=1)]


DENOISER = RandomDenoiser()


def weight(masked: int) -> float:
    """Of each set of k masked positions: the integral over t of t^k (1 - t)^(N - k) / t, for every schedule."""
    return math.factorial(masked - 1) * math.factorial(TOKENS - masked) / math.factorial(TOKENS)


def exact_bound(x: torch.Tensor) -> torch.Tensor:
    """Nats per token of each sequence (n, 3), summed over the 7 sets of masked positions."""
    total = torch.zeros(len(x), dtype=torch.float64)
    for masked in itertools.product([False, True], repeat=TOKENS):
        if any(masked):
            state = torch.where(torch.tensor(masked), MASK, x)
            log_probability = DENOISER(state, None).gather(-1, x[..., None])[..., 0]
            total -= weight(sum(masked)) * log_probability[:, torch.tensor(masked)].sum(dim=1)
    return total / TOKENS


def estimated(x: torch.Tensor, schedule: str, draws: int) -> torch.Tensor:
    settings = BoundSettings(time_draws=draws, batch=2700, seed=3)
    return token_bound(MaskedProcess(DISCRETE_SCHEDULES[schedule], MASK), DENOISER, x, settings)


def test_weights_of_uniform_predictions_give_the_uniform_likelihood():
    sets = [sum(masked) for masked in itertools.product([0, 1], repeat=TOKENS) if any(masked)]
    assert sum(weight(masked) * masked for masked in sets) == pytest.approx(TOKENS)


@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
def test_perplexity_is_that_of_the_enumerated_bound(schedule):
    generator = torch.Generator().manual_seed(4)
    x = EVERY[torch.multinomial(torch.rand(27, generator=generator), 20_000, replacement=True, generator=generator)]
    values, exact = estimated(x, schedule, 8), exact_bound(x)
    result, enumerated = perplexity(values), math.exp(float(exact.mean()))
    noise = enumerated * estimate(values - exact).stderr  # of times and masks alone: the sequences are the same
    assert noise < 0.02 * enumerated
    assert abs(result.value - enumerated) < 4 * noise
    assert result.n == 20_000


@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
def test_each_sequence_has_its_own_enumerated_bound(schedule):
    copies = 4000
    values = estimated(EVERY.repeat(copies, 1), schedule, 4).reshape(copies, 27)
    error = values.std(dim=0) / copies**0.5
    assert error.max() < 0.1
    assert ((values.mean(dim=0) - exact_bound(EVERY)).abs() < 4.5 * error).all()


def test_more_time_draws_sharpen_the_bound_and_do_not_move_it():
    x = EVERY.repeat(200, 1)
    few, many = (estimate(estimated(x, "linear", draws) - exact_bound(x)) for draws in (1, 16))
    assert abs(few.value) < 4 * few.stderr
    assert abs(many.value) < 4 * many.stderr
    assert many.stderr < few.stderr / 2
