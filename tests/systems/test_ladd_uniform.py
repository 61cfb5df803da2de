"""LADD on uniform diffusion: bounds against enumeration, samples under both schedules, and what it refuses."""

import math
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ladd.config import LatentShape
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import Noised, Prediction
from ladd.diffusion.times import TimeDraw
from ladd.systems.base import Passes
from tests.builders import perturb
from tests.samplers.known_answers import (
    Law,
    chi_square_excess,
    every_sequence,
    noise,
    number,
    one_hot_codebook,
)
from tests.systems.rivals import agree, bound_settings, drawn, made

TOKENS, V, K = 2, 3, 2
EVERY = every_sequence(TOKENS, V)
CODES = ((EVERY[:, :1] + EVERY[:, 1:]) % 2 == 0).long()  # one code, a function of the tokens
_PROBABILITY = torch.rand(len(EVERY), generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.15
LAW = Law(EVERY, CODES, _PROBABILITY / _PROBABILITY.sum())
SHAPES = {"di": LatentShape(1, K, K, True), "co": LatentShape(1, 2, None, True)}
TIMED = {"token_channel": {"timed": True}, "latents": "toy", "latent_channel": {"schedule": "linear"}}


def uniform(kind: str, **changes):
    return made(f"{kind}-ladd-uniform", TOKENS, V, SHAPES[kind], **TIMED | changes)


class ExactDenoiser(nn.Module):
    """p(x_0^l | x_t without x_t^l, visible codes) and p(code | x_t, visible codes) of LAW; code vectors are one-hot.

    With ``gaussian`` the latent is a vector, +1 or -1 in both coordinates, under the linear Gaussian schedule.
    """

    def __init__(self, gaussian: bool = False):
        super().__init__()
        self.gaussian, self.token_head, self.latent_head = gaussian, nn.Identity(), nn.Identity()

    def forward(self, x, z, t_x, t_z, z_masked=None):
        alpha = (1 - t_x.double())[:, None, None]
        kept = (x[:, None] == EVERY).double() * alpha + (1 - alpha) / V  # (B, M, N)
        if self.gaussian:
            signal = (1 - t_z.double())[:, None, None, None].sqrt()
            distance = (z[:, None].double() - signal * VECTORS[CODES]).square().sum(dim=(2, 3))
            fits = torch.exp(-distance / (2 * t_z.double()[:, None] + 1e-12)) + 1e-300
        else:
            fits = (z.argmax(dim=-1)[:, None] == CODES).all(dim=-1).double()
            if z_masked is not None:
                fits = torch.where(z_masked, 1.0, fits)
        whole = kept.prod(dim=2) * fits * LAW.probability
        others = whole[..., None] / kept.clamp_min(1e-300)
        if (alpha == 0).any():
            others = (fits * LAW.probability)[..., None].expand_as(kept)
        tokens = torch.einsum("bmn,mnv->bnv", normal(others), nn.functional.one_hot(EVERY, V).double())
        if self.gaussian:
            return tokens.log(), torch.einsum("bm,mlw->blw", normal(whole), VECTORS[CODES])
        codes = torch.einsum("bm,mlk->blk", normal(whole), nn.functional.one_hot(CODES, K).double())
        return tokens.log(), codes.log()


VECTORS = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], dtype=torch.float64)


def normal(weight: torch.Tensor) -> torch.Tensor:
    return weight / weight.sum(dim=1, keepdim=True)


def exact_model(kind: str) -> SimpleNamespace:
    def encode(x: torch.Tensor):
        codes = CODES[number(x, V)]
        return (one_hot_codebook(K).lookup(codes), codes) if kind == "di" else (VECTORS[codes], None)

    return SimpleNamespace(
        denoiser=ExactDenoiser(kind == "co"), codebook=one_hot_codebook(K), encode=encode, prior=None
    )


def sweep(schedule: str) -> SimpleNamespace:
    return SimpleNamespace(schedule=schedule, latent_lead=1.0)


@pytest.mark.parametrize("schedule", ["joint", "sequential"])
def test_full_bound_of_the_exact_model_is_the_exact_likelihood(schedule):
    places = torch.multinomial(LAW.probability, 1500, replacement=True, generator=torch.Generator().manual_seed(5))
    bounds = uniform("di").bounds(exact_model("di"), EVERY[places], bound_settings(24, 500), sweep(schedule))
    agree(bounds["full_bound"], -LAW.probability[places].log() / TOKENS, 0.03)
    if schedule == "sequential":
        of_codes = torch.bincount(CODES[:, 0], weights=LAW.probability)[CODES[places, 0]]
        agree(bounds["token_elbo"], (of_codes / LAW.probability[places]).log() / TOKENS, 0.03)


@pytest.mark.parametrize("kind", ["di", "co"])
def test_token_term_given_clean_latents_is_that_of_the_law_given_them(kind):
    places = torch.multinomial(LAW.probability, 1000, replacement=True, generator=torch.Generator().manual_seed(6))
    bounds = uniform(kind).bounds(exact_model(kind), EVERY[places], bound_settings(24, 500), sweep("joint"))
    of_codes = torch.bincount(CODES[:, 0], weights=LAW.probability)[CODES[places, 0]]
    agree(bounds["token_loss_clean_latent"], (of_codes / LAW.probability[places]).log() / TOKENS, 0.03)
    assert ("full_bound" in bounds) == (kind == "di")


@pytest.mark.parametrize("kind", ["di", "co"])
def test_joint_samples_of_the_exact_model_follow_the_law_in_many_steps_and_the_product_in_one(kind):
    system, model = uniform(kind), exact_model(kind)
    many = drawn(system, model, 4000, "joint", token_steps=100, eta=1.0).tokens
    assert chi_square_excess(many, LAW.probability, V) < 5
    one = drawn(system, model, 4000, "joint").tokens
    marginals = [torch.bincount(EVERY[:, i], weights=LAW.probability) for i in range(TOKENS)]
    product = marginals[0][EVERY[:, 0]] * marginals[1][EVERY[:, 1]]
    assert chi_square_excess(one, product, V) < 5
    assert chi_square_excess(one, LAW.probability, V) > 5


def test_sequential_samples_follow_the_law_given_a_code_in_one_step():
    """One step draws the tokens independently given the code, and the code by its own law."""
    x = drawn(uniform("di"), exact_model("di"), 4000, "sequential", latent_steps=1).tokens
    law = torch.zeros(len(EVERY), dtype=torch.float64)
    for code in range(K):
        inside = LAW.probability * (CODES[:, 0] == code)
        marginals = [torch.bincount(EVERY[:, i], weights=inside) / inside.sum() for i in range(TOKENS)]
        law += inside.sum() * marginals[0][EVERY[:, 0]] * marginals[1][EVERY[:, 1]]
    assert chi_square_excess(x, law, V) < 5
    many = drawn(uniform("di"), exact_model("di"), 4000, "sequential", latent_steps=1, token_steps=60).tokens
    assert chi_square_excess(many, LAW.probability, V) < 5


@pytest.mark.parametrize("t", [0.3, 0.8])
def test_a_token_is_itself_with_the_probability_of_the_forward_process(t):
    process, x = uniform("di").process, torch.full((20_000, 1), 2)
    noised = process.corrupt(x, torch.full((20_000,), t).double(), StreamNoise(noise(20_000), "token"))
    expected = 1 - t + t / V
    assert abs(float((noised.state == x).double().mean()) - expected) < 5 * 0.5 / 20_000**0.5


def test_sequences_for_the_latent_loss_alone_leave_the_others_as_they_are():
    system, x = uniform("di", latents_first=0.25), EVERY[:8]
    model = perturb(system.build())
    stored = CODES[:8]
    found = system.losses(model, x, stored, noise(8), 3)
    assert all(value.isfinite() for value in found.values())
    found["loss"].backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    hidden, state = torch.randn(3, TOKENS, V), EVERY[:3]
    times = TimeDraw(torch.tensor([0.4, 1.0, 0.7]).double(), torch.tensor([1.5, 0.0, 1.0]).double())
    losses = system.process.loss(Prediction(hidden, nn.Identity()), EVERY[3:6], Noised(state), times, "elbo")
    for row in (0, 2):
        one = TimeDraw(times.t[[row]], times.weight[[row]])
        alone = system.process.loss(
            Prediction(hidden[[row]], nn.Identity()), EVERY[[3 + row]], Noised(state[[row]]), one, "elbo"
        )
        torch.testing.assert_close(losses[[row]], alone)
    assert losses[1] == 0


@pytest.mark.parametrize("kind", ["di", "co"])
@pytest.mark.parametrize(
    ("channel", "named"), [({"timed": False}, "timed"), ({"timed": True, "weight": "constant"}, "weight")]
)
def test_a_channel_that_uniform_diffusion_has_not_is_refused(kind, channel, named):
    with pytest.raises(ValidationError, match=named):
        uniform(kind, token_channel=channel)


def test_every_pass_is_charged_with_the_head_at_all_positions():
    system = uniform("di")
    one, five = (system.cost(Passes(count, 0.0)) for count in (1.0, 5.0))
    head = TOKENS * 8 * V
    assert one.nfe == 1
    assert five.gflops * 1e9 == pytest.approx(2 * (five.gmacs * 1e9 + 5 * head + 1 * 8 * K))
    assert math.isclose(five.gmacs, 5 * one.gmacs)
