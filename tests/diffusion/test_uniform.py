"""Uniform diffusion: marginals, posterior and ELBO against enumeration of every state."""

import itertools
import math

import pytest
import torch
from torch import nn

from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction, Step, token_loss
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.diffusion.times import TimeDraw
from ladd.diffusion.uniform import UniformProcess
from ladd.samplers.ancestral import Ancestral
from tests.samplers.known_answers import all_masked, chi_square_excess, draw, every_sequence, noise, token_source

TOKENS, VOCABULARY = 2, 3
EVERY = every_sequence(TOKENS, VOCABULARY)
PROCESS = UniformProcess(DISCRETE_SCHEDULES["linear"], VOCABULARY)
LAW = torch.rand(len(EVERY), generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.1
LAW = LAW / LAW.sum()


def step(t: float, s: float) -> Step:
    return Step(0, torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))


def kernel(alpha: float) -> torch.Tensor:
    """q(x_t | x_0) of one token, (V, V)."""
    return alpha * torch.eye(VOCABULARY, dtype=torch.float64) + (1 - alpha) / VOCABULARY


class ExactDenoiser(nn.Module):
    """The exact p(x_0^l | x_t without x_t^l, t) of every token of LAW, which the process asks for."""

    def __init__(self):
        super().__init__()
        self.token_head = nn.Identity()

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha = PROCESS.schedule.alpha(t.double())[:, None, None]
        kept = (x[:, None] == EVERY).double() * alpha + (1 - alpha) / VOCABULARY  # (B, M, N)
        weight = kept.prod(dim=2, keepdim=True) / kept * LAW[:, None]
        one_hot = nn.functional.one_hot(EVERY, VOCABULARY).double()
        return torch.einsum("bmn,mnv->bnv", weight / weight.sum(dim=1, keepdim=True), one_hot).log()


class TableDenoiser(nn.Module):
    """Arbitrary predictions for every state: not the denoiser of any law."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        self.table = torch.randn(len(EVERY), TOKENS, VOCABULARY, generator=generator, dtype=torch.float64)
        self.token_head = nn.Identity()

    def forward(self, x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return self.table[(x * torch.tensor([VOCABULARY, 1])).sum(dim=1)]


@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
@pytest.mark.parametrize("t", [0.2, 0.6, 1.0])
def test_a_token_is_itself_with_the_probability_of_the_forward_process(schedule, t):
    process, clean = UniformProcess(DISCRETE_SCHEDULES[schedule], 4), torch.full((20_000, 2), 3)
    noised = process.corrupt(clean, torch.full((20_000,), t).double(), StreamNoise(noise(20_000), "token")).state
    alpha = float(process.schedule.alpha(torch.tensor(t).double()))
    counts = noised.flatten().bincount(minlength=4) / noised.numel()
    expected = torch.tensor([(1 - alpha) / 4] * 3 + [alpha + (1 - alpha) / 4])
    assert (counts - expected).abs().max() < 5 * 0.5 / noised.numel() ** 0.5


@pytest.mark.parametrize(("t", "s"), [(1.0, 0.7), (0.8, 0.3), (0.4, 0.0)])
def test_posterior_of_a_known_token_is_that_of_bayes(t, s):
    here, alpha = step(t, s), PROCESS.schedule.alpha
    between = kernel(float(alpha(here.t) / alpha(here.s)))  # q(x_t | x_s)
    for clean, observed in itertools.product(range(VOCABULARY), repeat=2):
        joint = kernel(float(alpha(here.s)))[clean] * between[:, observed]
        found = PROCESS.posterior(torch.eye(VOCABULARY).double()[[clean]], torch.tensor([observed]), here)
        torch.testing.assert_close(found[0], joint / joint.sum())


def test_posterior_is_a_distribution_for_any_prediction():
    p = torch.rand(50, VOCABULARY).double().softmax(dim=1)
    posterior = PROCESS.posterior(p, torch.randint(VOCABULARY, (50,)), step(0.7, 0.2))
    assert (posterior >= 0).all()
    torch.testing.assert_close(posterior.sum(dim=1), torch.ones(50).double())


def loss_at(t: float, clean: torch.Tensor, state: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    times = TimeDraw(torch.full((len(clean),), t, dtype=torch.float64), torch.ones(len(clean), dtype=torch.float64))
    return PROCESS.loss(Prediction(logits, nn.Identity()), clean, Noised(state), times, "elbo")


def test_loss_is_zero_for_the_clean_tokens_and_positive_for_others():
    clean, state = EVERY.repeat_interleave(len(EVERY), dim=0), EVERY.repeat(len(EVERY), 1)
    known = nn.functional.one_hot(clean, VOCABULARY).double().log()
    assert loss_at(0.4, clean, state, known).abs().max() < 1e-12
    assert (loss_at(0.4, clean, state, torch.zeros_like(known).double()) > 1e-3).all()


def test_loss_is_the_rate_of_the_divergence_between_true_and_predicted_posteriors():
    # The continuous-time ELBO is the limit of KL(q(x_s | x_t, x_0) || p(x_s | x_t)) / (t - s).
    t, h, denoiser = 0.5, 1e-5, TableDenoiser()
    clean, state = EVERY.repeat_interleave(len(EVERY), dim=0), EVERY.repeat(len(EVERY), 1)
    logits, here = denoiser(state, None), step(t, t - h)
    known = nn.functional.one_hot(clean, VOCABULARY).double()
    true, model = (
        PROCESS.posterior(p.flatten(0, 1), state.flatten(), here) for p in (known, torch.softmax(logits, dim=-1))
    )
    divergence = (true * (true.clamp_min(1e-300) / model).log()).sum(dim=1).view(-1, TOKENS).sum(dim=1)
    torch.testing.assert_close(divergence / h, loss_at(t, clean, state, logits), rtol=1e-3, atol=1e-4)


def enumerated_elbo(denoiser: nn.Module, x: torch.Tensor, steps: int = 2000) -> float:
    """The integral over t of the expected loss of x (N,), by every state at the midpoints of a grid."""
    total = 0.0
    for index in range(steps):
        t = (index + 0.5) / steps
        weight = kernel(1 - t)[x[:, None], EVERY.T].prod(dim=0)
        logits = denoiser(EVERY, torch.full((len(EVERY),), t))
        total += float((weight * loss_at(t, x.expand(len(EVERY), TOKENS), EVERY, logits)).sum()) / steps
    return total


def test_bound_of_the_exact_denoiser_is_the_exact_likelihood():
    for place in (0, 4, 5):
        assert enumerated_elbo(ExactDenoiser(), EVERY[place]) == pytest.approx(-math.log(LAW[place]), rel=2e-3)


@pytest.mark.parametrize("warp", [1.0, 2.0])
def test_estimated_elbo_is_the_enumerated_one(warp):
    x, denoiser = EVERY[5], TableDenoiser()
    means = torch.stack(
        [
            token_loss(
                PROCESS, denoiser, x.expand(1024, TOKENS), SampleNoise(0, torch.arange(1024)), draw, warp=warp
            ).mean()
            for draw in range(40)
        ]
    )
    error = float(means.std()) / 40**0.5
    exact = enumerated_elbo(denoiser, x, 500)
    assert error < 0.02 * exact
    assert abs(float(means.mean()) - exact) < 5 * error + 1e-3 * exact


def sampled(start: torch.Tensor, steps: int) -> torch.Tensor:
    return draw(Ancestral, token_source(ExactDenoiser(), PROCESS), start, noise(len(start)), token_steps=steps).tokens


def test_many_steps_of_the_exact_denoiser_give_the_exact_law():
    x = sampled(all_masked(10_000, TOKENS, VOCABULARY), 60)
    assert abs(chi_square_excess(x, LAW, VOCABULARY)) < 5


def test_given_tokens_stay_and_move_the_others_towards_their_conditional_law():
    # Not to it: the denoiser takes a given token for a noisy one.
    start = all_masked(10_000, TOKENS, VOCABULARY)
    start[:, 0] = 2
    x, match = sampled(start, 20), EVERY[:, 0] == 2
    assert (x[:, 0] == 2).all()
    shares, conditional = x[:, 1].bincount() / len(x), LAW[match] / LAW[match].sum()
    marginal = torch.stack([LAW[EVERY[:, 1] == value].sum() for value in range(VOCABULARY)])
    assert (shares - conditional).abs().max() < (marginal - conditional).abs().max()


def test_every_step_is_a_pass_and_a_given_sample_needs_none():
    start = all_masked(3, TOKENS, VOCABULARY)
    start[1] = torch.tensor([0, 1])
    samples = draw(Ancestral, token_source(ExactDenoiser(), PROCESS), start, noise(3), token_steps=7)
    assert samples.token_passes.tolist() == [7, 0, 7]
    assert samples.tokens[1].tolist() == [0, 1]
