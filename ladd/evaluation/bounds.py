"""Likelihood bounds, always with the ELBO weight, over several time draws per sequence (paper, Eqs. 6, 70, 80)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ladd.models import Ladd
from ladd.networks import CausalTransformer, TokenDenoiser
from ladd.objectives.autoregressive import autoregressive_loss
from ladd.objectives.joint import Latents, channel_losses, draw_channel_times
from ladd.objectives.masked import mdlm_loss
from ladd.progress import bar, counted
from ladd.randomness import SampleNoise, derive
from ladd.schedules import GaussianSchedule, MaskedSchedule


@dataclass(frozen=True)
class BoundSettings:
    """How bounds are estimated.

    Attributes:
        time_draws: per sequence; their mean is the sequence's value.
        batch: sequences at a time.
        seed: of times and masks.
    """

    time_draws: int
    batch: int
    seed: int


def average_draws(x: Tensor, settings: BoundSettings, loss: Callable[[Tensor, SampleNoise, int], Tensor]) -> Tensor:
    """Per-sequence loss in nats per token, averaged over time draws.

    Args:
        x: int64 (n, N).
        settings: of the estimate.
        loss: (rows of x, their noise, draw) -> (B,) or (B, terms), nats per sequence.
    Returns:
        float64 (n,) or (n, terms).
    """
    parts = []
    with bar("bound", len(x) * settings.time_draws, "pass") as progress:
        for rows in torch.arange(len(x), device=x.device).split(settings.batch):
            draws = []
            for draw in range(settings.time_draws):
                # The strata of the times are dealt out in batch order: turning it lets every sequence meet all of them.
                turn = draw * len(rows) // settings.time_draws
                turned = rows.roll(turn)
                noise = SampleNoise(derive(settings.seed, "bounds"), turned)
                draws.append(loss(turned, noise, draw).double().roll(-turn, dims=0))
                progress.update(len(rows))
            parts.append(torch.stack(draws).mean(dim=0) / x.shape[1])
    return torch.cat(parts)


@torch.no_grad()
def mdlm_bound(
    denoiser: TokenDenoiser, x: Tensor, schedule: MaskedSchedule, settings: BoundSettings, *, mask_id: int
) -> dict[str, Tensor]:
    """token_elbo (n,): bounds -log p(x), nats per token."""
    losses = average_draws(
        x,
        settings,
        lambda rows, noise, draw: mdlm_loss(denoiser, x[rows], noise, draw, schedule, mask_id=mask_id),
    )
    return {"token_elbo": losses}


@torch.no_grad()
def autoregressive_bound(
    network: CausalTransformer, x: Tensor, settings: BoundSettings, *, start_id: int
) -> dict[str, Tensor]:
    """token_elbo (n,): the exact -log p(x) of the model, nats per token."""
    losses = [
        autoregressive_loss(network, part, start_id=start_id)
        for part in counted(x.split(settings.batch), "likelihood", "batch")
    ]
    return {"token_elbo": torch.cat(losses).double() / x.shape[1]}


def encode_all(model: Ladd, x: Tensor, batch: int) -> Latents:
    """Latents of all sequences, computed once."""
    vectors, codes = zip(*(model.encode(part) for part in counted(x.split(batch), "latents", "batch")), strict=True)
    return Latents(torch.cat(vectors), None if codes[0] is None else torch.cat(codes))


@torch.no_grad()
def ladd_bounds(
    model: Ladd,
    x: Tensor,
    token_schedule: MaskedSchedule,
    latent_schedule: MaskedSchedule | GaussianSchedule,
    settings: BoundSettings,
    *,
    inference: str,
    latent_lead: float = 1.0,
    mask_id: int,
    token_only: bool = False,
) -> dict[str, Tensor]:
    """Bounds of a latent-augmented model under one inference schedule, each (n,) in nats per token.

    token_elbo is the token channel's term alone: given the clean latent (sequential) or the latent at the same time
    (joint). It is not a bound on -log p(x), because the latents come from an encoder that has seen x.
    full_bound adds the latent channel's term; with codes that are a function of x it bounds -log p(x). Continuous
    latents have none.
    token_loss_clean_latent is the token term given the clean latent, under either schedule.
    With token_only there is token_elbo alone, and nothing is spent on the others.
    """
    discrete = isinstance(latent_schedule, MaskedSchedule)
    latents = encode_all(model, x, settings.batch)

    def terms(times: str, *, token: bool, latent: bool) -> tuple[Tensor, ...]:
        def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
            losses = channel_losses(
                model.denoiser,
                x[rows],
                latents.select(rows),
                draw_channel_times(noise, draw, times, latent_lead=latent_lead),
                noise,
                draw,
                token_schedule,
                latent_schedule,
                mask_id=mask_id,
                with_token=token,
                with_latent=latent,
            )
            return torch.stack([part for part in losses if part is not None], dim=1)

        return average_draws(x, settings, loss).unbind(dim=1)

    if token_only:
        (token,) = terms("shared" if inference == "joint" else "clean", token=True, latent=False)
        return {"token_elbo": token}
    (clean,) = terms("clean", token=True, latent=False)
    if inference == "joint":
        token, *latent = terms("shared", token=True, latent=discrete)
    else:
        token, *latent = clean, *(terms("latent_first", token=False, latent=True) if discrete else ())
    bounds = {"token_elbo": token, "token_loss_clean_latent": clean}
    if discrete:
        bounds["full_bound"] = token + latent[0]
    return bounds
