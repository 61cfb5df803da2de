"""Latent diffusion with a terminal decoder: sequential Co-LADD with one token step, but for the likeliest tokens."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.samplers.base import sample
from ladd.samplers.decoded import likeliest
from ladd.systems.base import Passes, backbone_macs
from ladd.systems.co_ladd import CoLadd
from tests.builders import blocks, network, perturb, suite_values
from tests.samplers.known_answers import NEUTRAL, all_masked, noise, record
from tests.systems.rivals import made

VALUES = suite_values()
LEARNED = blocks(VALUES).latents["continuous"]
SHAPE, TOKENS, V = LEARNED.shape, 8, 3


def decoder(family: str = "latent-diffusion", tokens: int = TOKENS, vocabulary: int = V, **changes):
    settings = {"latents": "continuous", "network": network(), "latent_schedule": "sqrt"}
    return made(family, tokens, vocabulary, SHAPE, LEARNED, **settings | changes)


def co_ladd() -> CoLadd:
    model = VALUES["models"]["co"] | {"data": "toy"}
    del model["family"]
    return made("co-ladd", TOKENS, V, SHAPE, LEARNED, **model)


class Scaled(nn.Module):
    """A prior that predicts its input times a factor: with 1 latents stay apart."""

    def __init__(self, factor: float):
        super().__init__()
        self.process, self.factor = GaussianProcess(GAUSSIAN_SCHEDULES["sqrt"]), factor

    def forward(self, z, t):
        return self.factor * z


def trained(system, factor: float = 1.0):
    torch.manual_seed(3)
    model = perturb(system.build(), 0.4).eval()
    model.prior = Scaled(factor)
    return model


def drawn(system, model, name: str, count: int = 50, **settings):
    sampler = system.samplers(system.settings)[name].of(system.source_of(model), NEUTRAL | settings)
    return sample(sampler, all_masked(count, TOKENS, V), noise(count))


@pytest.mark.parametrize("latent_steps", [1, 5])
@pytest.mark.parametrize("eta", [0.0, 0.8])
@pytest.mark.parametrize(("decoding", "temperature"), [("argmax", 1e-6), ("draw", 1.0)])
def test_it_is_sequential_co_ladd_with_one_token_step(latent_steps, eta, decoding, temperature):
    """With the same networks; the likeliest tokens are draws at a temperature near zero."""
    system, other = decoder(), co_ladd()
    model, twin = trained(system), trained(other)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    found = drawn(system, model, "decoded", token_steps=latent_steps, eta=eta, decoding=decoding)
    settings = {"token_steps": 1, "latent_steps": latent_steps, "eta": eta, "temperature": temperature}
    expected = drawn(other, twin, "sequential", **settings)
    assert torch.equal(found.tokens, expected.tokens)
    assert len(found.tokens.unique(dim=0)) > 1
    assert torch.equal(found.token_passes, expected.token_passes)
    assert torch.equal(found.latent_passes, expected.latent_passes)


def test_given_tokens_are_kept():
    system = decoder()
    model, start = trained(system), all_masked(20, TOKENS, V)
    start[:, :3] = torch.randint(V, (20, 3))
    sampler = system.samplers(system.settings)["decoded"].of(system.source_of(model), NEUTRAL | {"token_steps": 2})
    x = sample(sampler, start, noise(20)).tokens
    assert torch.equal(x[:, :3], start[:, :3])
    assert (x < V).all()


def loss(system, model, x, z, seed: int = 0):
    return system.losses(model, x, z, noise(len(x), seed=seed), 4)["loss"]


def test_loss_is_the_cross_entropy_of_all_tokens_given_the_latents_alone():
    system = decoder(latent_noise=[0.0, 0.0])
    model, x, z = trained(system), torch.randint(V, (6, TOKENS)), torch.randn(6, SHAPE.length, SHAPE.width)
    hidden, _ = model.denoiser(torch.full_like(x, V), z, torch.ones(6), torch.zeros(6))
    logits = model.denoiser.token_head(hidden).flatten(0, 1)
    expected = torch.nn.functional.cross_entropy(logits, x.flatten())
    torch.testing.assert_close(loss(system, model, x, z).float(), expected)


def test_latents_are_noised_and_masked_in_training():
    x, z = torch.randint(V, (400, TOKENS)), torch.ones(400, SHAPE.length, SHAPE.width)
    for settings, zeros, spread in (
        ({"latent_noise": [0.5, 0.5]}, 0.0, 1 - 0.5**0.5),
        ({"latent_noise": [0.0, 0.0], "latent_masking": 0.4}, 0.4, None),
    ):
        system = decoder(**settings)
        model = trained(system)
        calls = record(model.denoiser)
        loss(system, model, x, z)
        masked, seen, t_x, t_z = calls[0]
        assert (masked == V).all()
        assert (t_x == 1).all()
        assert (t_z == 0).all()  # it is not told
        share = (seen == 0).double().mean()
        assert abs(share - zeros) < 5 * 0.5 / seen.numel() ** 0.5
        if spread is not None:  # a^2 = sqrt(1 - t)
            assert seen.var() == pytest.approx(spread, rel=0.1)
            assert seen.mean() == pytest.approx(0.5**0.25, rel=0.05)


@pytest.mark.parametrize(("family", "tokens", "passes"), [("latent-diffusion", 8, 1), ("latent-diffusion-ar", 6, 6)])
def test_cost_by_hand(family, tokens, passes):
    """All positions once, whether in one pass or in one for each."""
    system = decoder(family, tokens)
    system.prior = SimpleNamespace(network=SimpleNamespace(width=16, layers=3))
    cost = system.cost(Passes(passes, 5.0))
    macs = backbone_macs(tokens + SHAPE.length, 8, 2) + 5 * backbone_macs(SHAPE.length, 16, 3)
    heads = tokens * 8 * V + 5 * SHAPE.length * 16 * SHAPE.width
    assert cost.nfe == passes + 5
    assert cost.gmacs * 1e9 == pytest.approx(macs)
    assert cost.gflops * 1e9 == pytest.approx(2 * (macs + heads))
    assert system.nominal_passes(5, 0) == Passes(passes, 5)


def test_it_starts_from_the_denoiser_of_stage_1():
    assert decoder().build().denoiser.state_dict().keys() == co_ladd().build().denoiser.state_dict().keys()
    system = decoder()
    settings = system.settings.model_copy(update={"network": LEARNED.denoiser.model_copy(update={"layers": 9})})
    with pytest.raises(ValueError, match=r"network: .* must equal latents\.continuous\.denoiser"):
        system.check(settings, SHAPE, LEARNED)
    with pytest.raises(ValueError, match="needs continuous latents"):
        system.check(system.settings, SHAPE._replace(codebook=4), None)


def test_likeliest_tokens_of_a_large_head_are_found_in_parts(monkeypatch):
    head, hidden = torch.nn.Linear(4, 7), torch.randn(3, 5, 4)
    expected = head(hidden).argmax(dim=-1)
    prediction = SimpleNamespace(head=head, hidden=hidden)
    assert torch.equal(likeliest(prediction), expected)
    monkeypatch.setattr("ladd.diffusion.heads.LOGITS_AT_A_TIME", 14)
    assert torch.equal(likeliest(prediction), expected)
