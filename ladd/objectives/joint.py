"""Losses of the two channels of a latent-augmented model (paper, Eqs. 12-14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ladd.networks import LatentDiT, MMDiT
from ladd.objectives.masked import diffusion_weight, masked_cross_entropy
from ladd.processes.gaussian import add_noise
from ladd.processes.masked import draw_mask
from ladd.randomness import SampleNoise
from ladd.schedules import GaussianSchedule, MaskedSchedule
from ladd.times import TimeDraw, independent_times, low_discrepancy_times


class ChannelTimes(NamedTuple):
    """Times of both channels."""

    token: TimeDraw
    latent: TimeDraw


def draw_channel_times(
    noise: SampleNoise,
    step: int,
    kind: str,
    *,
    warp: float = 1.0,
    latents_first: float = 0.0,
    latent_lead: float = 1.0,
    token_range: Sequence[float] = (0.0, 1.0),
    latent_range: Sequence[float] = (0.0, 1.0),
) -> ChannelTimes:
    """Times of the two channels, one pair per sequence.

    Args:
        noise: draws of the batch, or of a part of it, whose times are those that the whole batch gives it.
        step: training step or draw number.
        kind: "independent" (any pair of times; serves both inference schedules), "shared" (t_z = t_x^lead),
            "clean" (t_z = 0, the sequential schedule's token steps) or "latent_first" (t_x = 1, its latent steps).
        warp: of the token times.
        latents_first: share of sequences at t_x = 1, where the sequential schedule draws its latents. Independent times
            come near this edge and never reach it, and the latents' marginal law is learned there alone. These
            sequences are for the latent loss: their token weight is 0, and the others' is 1 / (1 - share), so that the
            token loss stays an average over uniform t_x.
        latent_lead: of shared times, at least 1; the weight of t_z carries dt_z / dt_x.
        token_range, latent_range: [low, high]; weighted averages are then over uniform times in these.
    """
    rows, noise = noise.rows, noise.whole
    token = low_discrepancy_times(noise.uniform("t_x", step, 1)[:, 0], warp)
    if kind == "shared":
        rate = latent_lead * token.t ** (latent_lead - 1)
        latent = TimeDraw(token.t**latent_lead, token.weight * rate)
    elif kind == "clean":
        latent = TimeDraw(torch.zeros_like(token.t), torch.ones_like(token.t))
    elif kind == "latent_first":
        token, latent = TimeDraw(torch.ones_like(token.t), torch.ones_like(token.t)), token
    elif kind == "independent":
        latent = independent_times(noise.uniform("t_z", step, 1)[:, 0], noise.uniform("t_z_order", step, 1)[:, 0])
        latent = TimeDraw(latent.t, token.weight)  # of the pair: an average over t_z is one over uniform t_x too
    else:
        raise ValueError(f"kind {kind!r} is not one of independent, shared, clean, latent_first")
    token, latent = _squeeze(token, token_range), _squeeze(latent, latent_range)
    if latents_first:
        # Stratified, so that every batch has the same share of them, to one sequence.
        draws = noise.uniform("latents_first", step, 1)[:, 0], noise.uniform("latents_first_order", step, 1)[:, 0]
        edge = independent_times(*draws).t < latents_first
        weight = token.weight.masked_fill(edge, 0.0) / (1 - latents_first)
        token = TimeDraw(token.t.masked_fill(edge, 1.0), weight)
        latent = TimeDraw(latent.t, latent.weight.masked_fill(edge, 1.0))
    return ChannelTimes(token.select(rows), latent.select(rows))


def _squeeze(draw: TimeDraw, bounds: Sequence[float]) -> TimeDraw:
    low, high = bounds
    return TimeDraw(low + (high - low) * draw.t, draw.weight)


@dataclass(frozen=True)
class Latents:
    """Clean latents of a batch: vectors (B, L, w) and, for Di-LADD, codes int64 (B, L)."""

    vectors: Tensor
    codes: Tensor | None = None

    def select(self, rows: Tensor) -> Latents:
        """The latents of some sequences of the batch."""
        return Latents(self.vectors[rows], None if self.codes is None else self.codes[rows])


class ChannelLosses(NamedTuple):
    """Per-sequence losses, each (B,): token in nats per sequence; latent in nats (codes) or mean squared error.

    A loss that was not asked for is None (the latent loss in Stage 1, where lambda_z = 0).
    """

    token: Tensor | None
    latent: Tensor | None


def channel_losses(
    denoiser: MMDiT,
    x: Tensor,
    latents: Latents,
    times: ChannelTimes,
    noise: SampleNoise,
    step: int,
    token_schedule: MaskedSchedule,
    latent_schedule: MaskedSchedule | GaussianSchedule,
    *,
    mask_id: int,
    weight: str = "elbo",
    latent_dropout: float = 0.0,
    with_token: bool = True,
    with_latent: bool = True,
) -> ChannelLosses:
    """Noise both channels, run the denoiser once, and return the loss of each.

    Args:
        denoiser: two-stream network.
        x: int64 (B, N), clean tokens.
        latents: clean latents.
        times: of both channels.
        noise, step: draws of the batch.
        token_schedule, latent_schedule: of the channels.
        mask_id: V.
        weight: "elbo" or "constant", of both cross-entropies.
        latent_dropout: probability that a sequence's latent is the null latent 0, without latent loss (Co-LADD).
        with_token, with_latent: which losses to compute.
    """
    masked = draw_mask(times.token.t, token_schedule, noise.uniform("token_mask", step, x.shape[1]))
    x_t = torch.where(masked, mask_id, x)
    z, z_masked, kept = latents.vectors, None, None
    if isinstance(latent_schedule, MaskedSchedule):
        z_masked = draw_mask(times.latent.t, latent_schedule, noise.uniform("latent_mask", step, z.shape[1]))
    else:
        kept = noise.uniform("latent_dropout", step, 1)[:, 0] >= latent_dropout
        z = z * kept[:, None, None]
        z = add_noise(z, times.latent.t, latent_schedule, noise.normal("latent", step, *z.shape[1:]))
    hidden, latent_hidden = denoiser(x_t, z, times.token.t, times.latent.t, z_masked)
    token = latent = None
    if with_token:
        token_weight = diffusion_weight(token_schedule, times.token, weight)
        # Sequences of weight 0 are there for their latents: the head does not run on them.
        counted = masked & (token_weight > 0)[:, None]
        token = masked_cross_entropy(hidden, denoiser.token_head, x, counted, token_weight)
    if with_latent and isinstance(latent_schedule, MaskedSchedule):
        assert latents.codes is not None
        assert z_masked is not None
        latent_weight = diffusion_weight(latent_schedule, times.latent, weight)
        latent = masked_cross_entropy(latent_hidden, denoiser.latent_head, latents.codes, z_masked, latent_weight)
    elif with_latent:
        error = denoiser.latent_head(latent_hidden) - latents.vectors
        latent = error.square().mean(dim=(1, 2)) * kept * times.latent.weight
    return ChannelLosses(token, latent)


def latent_denoiser_loss(
    network: LatentDiT, z: Tensor, noise: SampleNoise, step: int, schedule: GaussianSchedule
) -> Tensor:
    """Squared error of the z_0-prediction at one time per sequence: z (B, L, w), clean -> (B,)."""
    times = low_discrepancy_times(noise.whole.uniform("latent_denoiser_t", step, 1)[:, 0]).select(noise.rows)
    z_t = add_noise(z, times.t, schedule, noise.normal("latent_denoiser", step, *z.shape[1:]))
    return (network(z_t, times.t) - z).square().mean(dim=(1, 2))
