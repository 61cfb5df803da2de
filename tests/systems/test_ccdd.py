"""CCDD's rule, latents hidden where tokens are masked: when it makes the token term a bound, and when it does not."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ladd.config import LatentShape
from ladd.errors import ConfigError
from ladd.networks import MMDiT
from ladd.systems.ccdd import hidden_where_masked
from tests.builders import perturb
from tests.samplers.known_answers import every_sequence, number
from tests.systems.rivals import agree, bound_settings, made

TOKENS, WIDTH = 2, 2
EVERY = every_sequence(TOKENS)
LAW = torch.tensor([0.4, 0.1, 0.15, 0.35], dtype=torch.float64)
SETTINGS = {"latents": "toy", "latent_channel": {"schedule": "linear", "times": "shared"}}
OWN, OF_THE_NEXT = EVERY, EVERY.roll(-1, dims=1)  # what the latent at each position tells


def ccdd(tokens: int = TOKENS, **changes):
    return made("ccdd-zeroed", tokens, 2, LatentShape(2, WIDTH, None, True), **SETTINGS | changes)


class ExactDenoiser(nn.Module):
    """p(x_0 | x_t, the latents that are seen) of LAW; the latent of a position is +1 or -1, by what it tells."""

    def __init__(self, told: torch.Tensor, hidden: bool):
        super().__init__()
        self.clean = (2.0 * told - 1)[..., None].expand(-1, -1, WIDTH)
        self.hidden, self.token_head, self.latent_head = hidden, nn.Identity(), nn.Identity()

    def forward(self, x, z, t_x, t_z, z_masked=None):
        if self.hidden:
            z = hidden_where_masked(x, z, 2)
        seen = (z != 0).any(dim=-1)[:, None]
        t = t_z.double()[:, None, None].clamp_min(1e-9)
        distance = (z[:, None].double() - (1 - t[..., None]).sqrt() * self.clean).square().sum(dim=-1)
        fits = torch.where((x[:, None] == EVERY) | (x == 2)[:, None], 0.0, -torch.inf).double()
        log = (fits - torch.where(seen, distance / (2 * t), 0.0)).sum(dim=2) + LAW.log()
        one_hot = nn.functional.one_hot(EVERY, 2).double()
        return torch.einsum("bm,mnv->bnv", log.softmax(dim=1), one_hot).log(), z


def token_terms(told: torch.Tensor, hidden: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Token terms of the joint schedule, and exact values, both per sequence."""
    clean = ExactDenoiser(told, hidden).clean
    model = SimpleNamespace(denoiser=ExactDenoiser(told, hidden), encode=lambda x: (clean[number(x, 2)].double(), None))
    places = torch.multinomial(LAW, 2000, replacement=True, generator=torch.Generator().manual_seed(2))
    sweep = SimpleNamespace(schedule="joint", latent_lead=1.0)
    found = ccdd().bounds(model, EVERY[places], bound_settings(24, 500), sweep, token_only=True)
    return found["token_elbo"], -LAW[places].log() / TOKENS


def test_with_hidden_latents_of_single_tokens_the_token_term_is_the_exact_likelihood():
    agree(*token_terms(OWN, hidden=True), 0.01)


@pytest.mark.parametrize(("told", "hidden"), [(OWN, False), (OF_THE_NEXT, True), (OF_THE_NEXT, False)])
def test_latents_that_tell_of_masked_tokens_leak(told, hidden):
    """Without the rule all do; with it those of an encoder that has seen the neighbours still do."""
    found, exact = token_terms(told, hidden)
    assert float((found - exact).mean()) < -0.05


def test_network_does_not_see_latents_of_masked_tokens():
    model = perturb(ccdd().build()).eval().denoiser
    x, z, t = torch.tensor([[0, 2], [2, 2]]), torch.randn(2, 2, WIDTH), torch.full((2,), 0.5)
    for found, other in zip(model(x, z, t, t), model(x, z * torch.tensor([[1.0], [-1.0]]), t, t), strict=True):
        torch.testing.assert_close(found[0], other[0])
    # At t = 1 all are masked: one step draws what masked diffusion draws.
    torch.testing.assert_close(model(x, z, t, t)[0][1], model(x, -z, t, t)[0][1])
    assert not torch.allclose(model(x, z, t, t)[0][0], model(x, -z, t, t)[0][0], atol=1e-3)


def test_without_the_rule_it_is_the_network_of_co_ladd():
    torch.manual_seed(1)
    hidden = perturb(ccdd().build()).denoiser
    plain = ccdd(zero_masked=False).build().denoiser
    assert type(plain) is MMDiT
    plain.load_state_dict(hidden.state_dict())
    x, z, t = torch.tensor([[0, 1]]), torch.randn(1, 2, WIDTH), torch.full((1,), 0.5)
    for found, expected in zip(plain(x, z, t, t), hidden(x, z, t, t), strict=True):
        torch.testing.assert_close(found, expected)


def test_it_needs_one_latent_per_token_and_shared_times():
    with pytest.raises(ConfigError, match="N = 3"):
        ccdd(tokens=3)
    with pytest.raises(ValidationError, match="must be 'shared'"):
        ccdd(latent_channel={"schedule": "linear"})
