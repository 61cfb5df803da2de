"""Latent diffusion with an autoregressive decoder: the chain rule behind latents that a prior has drawn."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.heads import draw_behind_head
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.networks.transformer import KeyValueCache
from ladd.samplers.base import sample
from ladd.systems.base import Passes, backbone_macs
from tests.builders import blocks, network, perturb, suite_values
from tests.samplers.known_answers import NEUTRAL, all_masked, noise
from tests.systems.rivals import made

LEARNED = blocks(suite_values()).latents["continuous"]
SHAPE, TOKENS, V = LEARNED.shape, 6, 3


class Halving(nn.Module):
    """A prior whose latents differ from step to step."""

    def __init__(self):
        super().__init__()
        self.process = GaussianProcess(GAUSSIAN_SCHEDULES["sqrt"])

    def forward(self, z, t):
        return 0.5 * z


def decoder(**changes):
    settings = {"latents": "continuous", "network": network(), "latent_schedule": "sqrt"}
    return made("latent-diffusion-ar", TOKENS, V, SHAPE, LEARNED, **settings | changes)


def trained(system):
    torch.manual_seed(3)
    model = perturb(system.build(), 0.4).eval()
    model.prior = Halving()
    return model


def test_loss_is_the_chain_rule_one_position_at_a_time():
    system = decoder(latent_noise=[0.0, 0.0])
    model, x, z = trained(system), torch.randint(V, (5, TOKENS)), torch.randn(5, SHAPE.length, SHAPE.width)
    cache, expected, previous = KeyValueCache(), torch.zeros(5), torch.full((5, 1), V)
    for i in range(TOKENS):
        hidden = model.denoiser(previous, cache, start=i, z=None if i else z)[:, 0]
        expected -= model.denoiser.token_head(hidden).log_softmax(dim=-1).gather(1, x[:, i : i + 1])[:, 0]
        previous = x[:, i : i + 1]
    found = system.losses(model, x, z, noise(5), 0)["loss"]
    torch.testing.assert_close(found.float(), expected.mean() / TOKENS)


def test_samples_are_those_of_whole_passes_over_latents_and_tokens():
    """Drawn behind a cache, each token is the one that a pass over everything before it gives for the same draw."""
    count, system = 40, decoder()
    model, states = trained(system), []
    sampler = system.samplers(system.settings)["decoded-ar"].of(
        system.source_of(model), NEUTRAL | {"token_steps": 3, "eta": 0.5}
    )
    found = sample(sampler, all_masked(count, TOKENS, V), noise(count), lambda step, state: states.append(state))
    assert len(states) == 3 + TOKENS
    z, x = states[-1].latents, found.tokens
    assert torch.equal(states[2].latents, z)  # they stay
    assert not torch.equal(states[1].latents, z)
    hidden = model.denoiser(F.pad(x[:, :-1], (1, 0), value=V), z=z)
    uniform = StreamNoise(noise(count), "token").fixed(TOKENS)
    drawn = [draw_behind_head(model.denoiser.token_head, hidden[:, i], uniform[:, i]) for i in range(TOKENS)]
    assert torch.equal(torch.stack(drawn, dim=1), x)
    assert len(x.unique(dim=0)) > 5
    assert (found.token_passes == TOKENS).all()
    assert (found.latent_passes == 3).all()


def test_latents_are_read():
    """Of sequences that repeat the sign of their latent, which no prefix tells before the first token."""
    system = made(
        "latent-diffusion-ar",
        3,
        2,
        SHAPE,
        LEARNED,
        latents="continuous",
        network=network(gate=1.0),
        latent_noise=[0, 0],
    )
    torch.manual_seed(0)
    model = system.build()
    optimiser = torch.optim.Adam(model.denoiser.parameters(), 0.01)
    for step in range(60):
        z = torch.randn(64, SHAPE.length, SHAPE.width)
        x = (z[:, 0, :1] > 0).long().expand(-1, 3)
        loss = system.losses(model, x, z, noise(64, seed=step), step)["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.5 * torch.tensor(2.0).log() / 3  # without them the first token alone costs log 2


def test_cost_by_hand():
    system = decoder()
    system.prior = SimpleNamespace(network=SimpleNamespace(width=16, layers=3))
    cost = system.cost(Passes(TOKENS, 5.0))
    macs = backbone_macs(TOKENS + SHAPE.length, 8, 2) + 5 * backbone_macs(SHAPE.length, 16, 3)
    heads = TOKENS * 8 * V + 5 * SHAPE.length * 16 * SHAPE.width
    assert cost.nfe == TOKENS + 5
    assert cost.gmacs * 1e9 == pytest.approx(macs)
    assert cost.gflops * 1e9 == pytest.approx(2 * (macs + heads))
    assert system.nominal_passes(5, 0) == Passes(TOKENS, 5)
