"""VADD: MDLM where the vector tells nothing, and one step is enough where it tells all."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from ladd.diffusion.process import token_loss
from ladd.samplers.ancestral import Ancestral
from ladd.systems.vadd import divergence
from tests.builders import perturb
from tests.samplers.known_answers import all_masked, draw, noise, record, token_source
from tests.systems.rivals import agree, bound_settings, drawn, indicator, made, train

TOKENS = 6
PLAIN = made("vadd", 5, 3)


def without_latent(model: nn.Module) -> nn.Module:
    """The denoiser sees nothing of the vector, as under an infinite weight of the divergence."""
    for parameter in model.denoiser.latent[-1].parameters():
        nn.init.zeros_(parameter)
    return model.eval()


def toy(**changes):
    """One bit behind all tokens, and one coordinate to tell it."""
    settings = {"latent_width": 1, "token_channel": {"weight": "constant"}}
    return made("vadd", TOKENS, 2, **settings | changes)


def validity(system, model, **settings) -> float:
    x = drawn(system, model, 500, "vadd", **settings).tokens
    return float((x == x[:, :1]).all(dim=1).double().mean())


@pytest.mark.parametrize("latent", ["fresh", "kept"])
@pytest.mark.parametrize("steps", [1, 4])
def test_without_its_vector_it_draws_the_samples_of_masked_diffusion(latent, steps):
    model = without_latent(perturb(PLAIN.build()))
    x = drawn(PLAIN, model, 60, "vadd", token_steps=steps, latent=latent).tokens
    plain = token_source(model.denoiser, PLAIN.process)
    assert torch.equal(x, draw(Ancestral, plain, all_masked(60, 5, 3), noise(60), token_steps=steps).tokens)


def test_without_its_vector_its_loss_is_that_of_masked_diffusion_and_the_divergence():
    model, x = without_latent(perturb(PLAIN.build())), torch.randint(3, (6, 5))
    found = PLAIN.losses(model, x, None, noise(6), 4)
    expected = token_loss(PLAIN.process, model.denoiser, x, noise(6), 4).mean() / 5
    torch.testing.assert_close(found["token"], expected)
    free = made("vadd", 5, 3, kl_weight=0.0).losses(model, x, None, noise(6), 4)
    torch.testing.assert_close(free["loss"], expected)


def test_one_step_is_enough_with_the_divergence_at_its_weight_and_not_at_an_infinite_one():
    system = toy(training=made("vadd").settings.training.model_dump() | {"steps": 300})
    model = train(system, system.build(), indicator(TOKENS), 300)
    assert validity(system, model) > 0.75
    losses = system.losses(model, indicator(TOKENS).repeat(100, 1), None, noise(200), 0)
    assert losses["active_units"] == 1

    dear = toy(kl_weight=1e4, kl_warmup=0.0)
    model = train(dear, dear.build(), indicator(TOKENS), 120)
    losses = dear.losses(model, indicator(TOKENS).repeat(100, 1), None, noise(200), 0)
    assert losses["kl"] < 1e-3
    assert losses["active_units"] == 0
    chance = 2.0 ** (1 - TOKENS)  # of the factorised model
    assert abs(validity(dear, model) - chance) < 5 * (chance / 500) ** 0.5


def test_a_vector_is_drawn_anew_in_every_step_or_once():
    for latent, alike in (("fresh", False), ("kept", True)):
        model = perturb(PLAIN.build()).eval()
        calls = record(model.denoiser)
        drawn(PLAIN, model, 1, "vadd", token_steps=16, latent=latent)
        seen = [z for _, _, z in calls]
        assert len(seen) > 2
        assert all(torch.equal(z, seen[0]) for z in seen) == alike


def test_divergence_is_that_of_two_normal_laws():
    mean, log_deviation = torch.randn(4, 3), torch.randn(4, 3)
    expected = kl_divergence(Normal(mean, log_deviation.exp()), Normal(torch.zeros(4, 3), 1.0)).sum(dim=1)
    torch.testing.assert_close(divergence(mean, log_deviation), expected)


class Decided(nn.Module):
    """All tokens are the sign of the vector, but for an error."""

    def __init__(self, error: float):
        super().__init__()
        self.token_head, self.error = nn.Identity(), error

    def forward(self, x, t, z):
        one = torch.where(z > 0, 1 - self.error, self.error).double()
        shown = x != 2  # the bit is known once a token is
        bit = torch.where(shown, x, 0).amax(dim=1, keepdim=True)
        one = torch.where(shown.any(dim=1, keepdim=True), (1 - self.error) * bit + self.error * (1 - bit), one)
        return torch.stack([1 - one, one], dim=-1).log()[:, None].expand(-1, TOKENS, -1, -1)[:, :, 0]


class Known(nn.Module):
    """Tells the bit while all tokens are masked, and nothing later."""

    def forward(self, x, masked):
        hidden = masked.all(dim=1, keepdim=True).double()
        return hidden * (2.0 * x[:, :1] - 1) * 3, hidden * math.log(0.5)


def test_bounds_of_known_networks_are_above_the_likelihood_by_what_the_vector_costs():
    """-log p of a sequence is log 2. Of one vector for all steps, its divergence is paid once, and the tokens' error in
    continuous time on top; of fresh ones, for each token that is drawn while all are masked: one of them."""
    system, error = toy(), 1e-3
    model, x = SimpleNamespace(denoiser=Decided(error), recognition=Known()), indicator(TOKENS).repeat(2000, 1)
    cost = float(divergence(torch.tensor([[3.0]]), torch.tensor([[math.log(0.5)]])))
    wrong = float(Normal(3.0, 0.5).cdf(torch.tensor(0.0)))
    token = -(1 - wrong) * math.log(1 - error) - wrong * math.log(error)
    rest = -(TOKENS - 1) * math.log(1 - error)
    kept = system.bounds(model, x, bound_settings(16, 500), SimpleNamespace(latent="kept"))
    fresh = system.bounds(model, x, bound_settings(16, 500), SimpleNamespace(latent="fresh"))
    exact = torch.full((len(x),), (cost + token + rest) / TOKENS, dtype=torch.float64)
    agree(kept["full_bound"], exact, 0.03)
    agree(fresh["full_bound"], exact, 0.03)
    assert cost + token + rest > math.log(2)
    # With z from N(0, I) the first token is a coin whose two outcomes cost -log(error) and -log(1 - error).
    jensen = -(math.log(1 - error) + math.log(error)) / 2 + rest
    agree(fresh["token_elbo"], torch.full_like(exact, jensen / TOKENS), 0.03)
    assert (kept["token_elbo"].mean() * TOKENS) < math.log(2)


def test_weight_of_the_divergence_rises_in_training_alone():
    system = made("vadd", kl_start=0.1, kl_warmup=0.5)  # of 6 steps
    assert [round(system._share(step), 3) for step in (0, 1, 2, 3, 5)] == [0.1, 0.4, 0.7, 1.0, 1.0]
    model, x = perturb(system.build()), torch.randint(2, (6, 4))
    training = system.losses(model.train(), x, None, noise(6), 0)
    validating = system.losses(model.eval(), x, None, noise(6), 0)
    assert training["loss"] < validating["loss"]
