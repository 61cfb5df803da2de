"""Latent diffusion with an autoregressive decoder: the chain rule behind latents that a prior has drawn."""

import torch
from torch.nn import functional as F

from ladd.diffusion.heads import draw_behind_head
from ladd.diffusion.noise import StreamNoise
from ladd.networks.transformer import KeyValueCache
from ladd.samplers.base import sample
from tests.builders import network
from tests.samplers.known_answers import NEUTRAL, all_masked, noise
from tests.systems.test_latent_diffusion import SHAPE, decoder, trained

TOKENS, V = 6, 3


def writer(tokens: int = TOKENS, vocabulary: int = V, **changes):
    return decoder("latent-diffusion-ar", tokens, vocabulary, **changes)


def test_loss_is_the_chain_rule_one_position_at_a_time():
    system = writer(latent_noise=[0.0, 0.0])
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
    count, system = 40, writer()
    model, states = trained(system, 0.5), []
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
    system = writer(3, 2, network=network(gate=1.0), latent_noise=[0, 0])
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
