"""Losses by time: networks of known loss, and sums over the bins that are the bounds of the same draws."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.evaluation.bounds import BINS, BoundSettings, LossByTime, loss_by_time, token_bound
from ladd.evaluation.estimate import estimate
from ladd.systems.channels import Channel, Codes, Vectors
from ladd.systems.ladd import Ladd, encode_all
from ladd.systems.mdlm import Mdlm
from tests.builders import TableDenoiser
from tests.samplers.known_answers import Tables, every_sequence, record
from tests.systems.test_bounds import ladd_bounds

TOKENS, VOCABULARY = 6, 3
X = torch.randint(VOCABULARY, (200, TOKENS), generator=torch.Generator().manual_seed(0))


def settings(time_draws: int = 10, batch: int = 40) -> BoundSettings:
    return BoundSettings(time_draws, batch, 0)


def of_tokens(denoiser: nn.Module, x: Tensor, settings: BoundSettings, schedule: str = "linear") -> LossByTime:
    system = SimpleNamespace(process=MaskedProcess(DISCRETE_SCHEDULES[schedule], VOCABULARY))
    ((_, found),) = Mdlm.losses_by_time(system, denoiser, x, settings, None)
    return found


def of_pair(
    model: SimpleNamespace, x: Tensor, channel: Channel, settings: BoundSettings, time: float | None, lead: float = 1.0
) -> LossByTime:
    system = SimpleNamespace(process=MaskedProcess(DISCRETE_SCHEDULES["linear"], 2), channel=channel)
    with torch.no_grad():
        plain = Ladd._plain_loss(system, model, x, encode_all(model, x, settings.batch), lead, time)
        return loss_by_time(system.process, x, settings, plain)


class Uniform(nn.Module):
    """Every token has probability 1 / V, whatever is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.token_head = nn.Identity()

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.zeros(*x.shape, VOCABULARY, dtype=torch.float64)


class Informed(nn.Module):
    """Loses log 2 per masked token where all codes are visible, log 8 where all are masked, log 4 in between."""

    def __init__(self) -> None:
        super().__init__()
        self.token_head, self.latent_head = nn.Identity(), nn.Identity()

    def forward(self, x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor, z_masked: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.where(z_masked.all(dim=1), 8, torch.where(z_masked.any(dim=1), 4, 2))
        odds = -(hidden.double() - 1).log()[:, None]  # of the token 0, against one other
        tokens = torch.stack([odds.expand(x.shape), torch.zeros(x.shape)], dim=-1)
        return tokens, torch.zeros(*z.shape[:2], 2)


@pytest.mark.parametrize("schedule", DISCRETE_SCHEDULES)
@pytest.mark.parametrize(("time_draws", "batch"), [(10, 40), (3, 7)])
def test_bins_of_masked_diffusion_add_up_to_its_bound(schedule, time_draws, batch):
    arguments = TableDenoiser(TOKENS, VOCABULARY), X, settings(time_draws, batch)
    found = of_tokens(*arguments, schedule)
    assert found.weighted.shape == (len(X), BINS)
    bound = token_bound(MaskedProcess(DISCRETE_SCHEDULES[schedule], VOCABULARY), *arguments)
    torch.testing.assert_close(found.weighted.sum(dim=1), bound, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
@pytest.mark.parametrize(
    ("inference", "latent_time", "term"),
    [("sequential", 0.0, "token_elbo"), ("joint", 0.0, "token_loss_clean_latent"), ("joint", None, "token_elbo")],
)
def test_bins_given_latents_add_up_to_the_term_of_the_bound(kind, inference, latent_time, term):
    x, discrete = every_sequence(4), kind == "discrete"
    codes = x[:, :2]
    vectors = nn.functional.one_hot(codes, 2).double() if discrete else codes[..., None].double() + 0.5
    latents = SimpleNamespace(denoiser=Tables(4, 2, *vectors.shape[1:]))
    latents.encode = lambda part: (
        vectors[(part * torch.tensor([8, 4, 2, 1])).sum(dim=1)],
        part[:, :2] if discrete else None,
    )
    channel = Codes("linear", 2) if discrete else Vectors("sqrt")
    bound = ladd_bounds(latents, x, channel, settings(10, 8), inference=inference, latent_lead=2.0)[term]
    found = of_pair(latents, x, channel, settings(10, 8), latent_time, lead=2.0)
    torch.testing.assert_close(found.weighted.sum(dim=1), bound, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_constant_loss_is_the_same_per_masked_token_at_all_times(schedule):
    found = of_tokens(Uniform(), X, settings(), schedule)
    assert (found.masked.sum(dim=0) > 0).all()
    per_token = found.plain.sum(dim=0) / found.masked.sum(dim=0)
    torch.testing.assert_close(per_token, torch.full((BINS,), math.log(VOCABULARY), dtype=torch.float64))


def test_every_bin_of_a_constant_loss_has_an_equal_part_of_the_bound():
    # 1 / t times t N masked tokens: log V / 10 of each bin, though few tokens are masked in the first.
    found = of_tokens(Uniform(), X, settings())
    for part in found.weighted.unbind(dim=1):
        value, error, _ = estimate(part)
        assert error < 0.02
        assert abs(value - math.log(VOCABULARY) / BINS) < 4 * error
    shares = found.masked.mean(dim=0) * BINS  # of the tokens, at the times of a bin
    torch.testing.assert_close(shares, torch.arange(0.05, 1, 0.1).double(), atol=0.05, rtol=0)


@pytest.mark.parametrize(("latent_time", "lost"), [(0.0, 2), (0.5, 4), (1.0, 8)])
def test_latents_are_at_the_time_asked_for(latent_time, lost):
    x, length = torch.zeros(200, TOKENS, dtype=torch.int64), 64
    codes = torch.zeros(len(x), length, dtype=torch.int64)
    model = SimpleNamespace(
        denoiser=Informed(), encode=lambda part: (codes[: len(part), :, None].double(), codes[: len(part)])
    )
    calls = record(model.denoiser)
    found = of_pair(model, x, Codes("linear", 2), settings(), latent_time)
    assert all((t_z == latent_time).all() for _, _, _, t_z, _ in calls)
    per_token = found.plain.sum(dim=0) / found.masked.sum(dim=0)
    torch.testing.assert_close(per_token, torch.full((BINS,), math.log(lost), dtype=torch.float64))
