"""Token loss by the time t_x: which times a likelihood bound comes from."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ladd.evaluation.bounds import BoundSettings, average_draws
from ladd.models import Ladd
from ladd.networks import TokenDenoiser
from ladd.objectives.joint import ChannelTimes, Latents, channel_losses, draw_channel_times
from ladd.objectives.masked import mdlm_loss
from ladd.processes.masked import draw_mask
from ladd.randomness import SampleNoise
from ladd.schedules import GaussianSchedule, MaskedSchedule
from ladd.times import TimeDraw

BINS = 10  # of equal width in t_x


class LossByTime(NamedTuple):
    """Of every sequence and bin, float64 (n, BINS), per token of the sequence and time draw.

    Attributes:
        weighted: loss with the ELBO weight, nats. Summed over the bins it is the token_elbo of the same draws.
        plain: loss without a weight, nats.
        masked: masked tokens; plain / masked is the loss of a masked token.
    """

    weighted: Tensor
    plain: Tensor
    masked: Tensor


@torch.no_grad()
def mdlm_loss_by_time(
    denoiser: TokenDenoiser, x: Tensor, schedule: MaskedSchedule, settings: BoundSettings, *, mask_id: int
) -> LossByTime:
    """Of masked diffusion, over the draws of `mdlm_bound`; x int64 (n, N)."""

    def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
        plain = mdlm_loss(denoiser, x[rows], noise, draw, schedule, mask_id=mask_id, weight="constant")
        return _in_bins(plain, draw_channel_times(noise, draw, "clean").token.t, schedule, noise, draw, x.shape[1])

    return _unbind(average_draws(x, settings, loss))


@torch.no_grad()
def ladd_loss_by_time(
    model: Ladd,
    x: Tensor,
    latents: Latents,
    token_schedule: MaskedSchedule,
    latent_schedule: MaskedSchedule | GaussianSchedule,
    settings: BoundSettings,
    *,
    latent_time: float | None,
    latent_lead: float = 1.0,
    mask_id: int,
) -> LossByTime:
    """Of a latent-augmented model, over the draws of `ladd_bounds`.

    Args:
        model: to measure.
        x: int64 (n, N).
        latents: of x, clean.
        token_schedule, latent_schedule: of the channels.
        settings: of the estimate.
        latent_time: t_z of the latents that the tokens are predicted from; None for t_x^lead, the joint schedule's.
        latent_lead: of the joint schedule.
        mask_id: V.
    """

    def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
        times = draw_channel_times(noise, draw, "shared", latent_lead=latent_lead)
        if latent_time is not None:
            fixed = TimeDraw(torch.full_like(times.token.t, latent_time), torch.ones_like(times.token.t))
            times = ChannelTimes(times.token, fixed)
        plain = channel_losses(
            model.denoiser,
            x[rows],
            latents.select(rows),
            times,
            noise,
            draw,
            token_schedule,
            latent_schedule,
            mask_id=mask_id,
            weight="constant",
            with_latent=False,
        ).token
        assert plain is not None
        return _in_bins(plain, times.token.t, token_schedule, noise, draw, x.shape[1])

    return _unbind(average_draws(x, settings, loss))


def _in_bins(plain: Tensor, t: Tensor, schedule: MaskedSchedule, noise: SampleNoise, draw: int, tokens: int) -> Tensor:
    """Losses (B,) at times t (B,) as float64 (B, 3 x BINS), zero outside the bin of t; the mask is drawn once more."""
    masked = draw_mask(t, schedule, noise.uniform("token_mask", draw, tokens)).sum(dim=1)
    plain = plain.double()
    values = torch.stack([plain * schedule.elbo_weight(t), plain, masked.double()], dim=1)
    place = torch.nn.functional.one_hot((t * BINS).long().clamp_max(BINS - 1), BINS)
    return (values[:, :, None] * place[:, None]).flatten(1)


def _unbind(values: Tensor) -> LossByTime:
    return LossByTime(*values.unflatten(1, (3, BINS)).unbind(dim=1))
