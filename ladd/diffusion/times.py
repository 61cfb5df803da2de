"""Diffusion times: low-discrepancy draws with importance weights, of one stream or of two (paper, Section C.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ladd.diffusion.noise import SampleNoise


class TimeDraw(NamedTuple):
    """Times and the weights that make an average over them an integral over uniform t."""

    t: Tensor  # (B,) float64 in (0, 1)
    weight: Tensor  # (B,) float64, 1 / density of t

    def select(self, rows: slice) -> TimeDraw:
        """The draws of some samples."""
        return TimeDraw(self.t[rows], self.weight[rows])


def low_discrepancy_times(jitter: Tensor, warp: float = 1.0) -> TimeDraw:
    """One time per stratum [i/B, (i+1)/B).

    Args:
        jitter: (B,) draws in (0, 1), one per stratum.
        warp: t = u^warp. Above 1 it draws more small times; the weight dt/du = warp u^(warp-1) undoes the
            density, so that estimators stay unbiased.
    """
    strata = torch.arange(len(jitter), dtype=jitter.dtype, device=jitter.device)
    u = (strata + jitter) / len(jitter)
    return TimeDraw(u**warp, warp * u ** (warp - 1))


def independent_times(jitter: Tensor, order: Tensor, warp: float = 1.0) -> TimeDraw:
    """A second low-discrepancy draw that is independent of the first.

    Two stratified draws taken in batch order are almost equal (correlation 0.996 at B = 16): this one is
    handed out in a random order.

    Args:
        jitter: (B,) draws in (0, 1).
        order: (B,) draws in (0, 1); their ranks are the permutation of the strata.
        warp: as in `low_discrepancy_times`.
    """
    draw = low_discrepancy_times(jitter, warp)
    permutation = order.argsort()
    return TimeDraw(draw.t[permutation], draw.weight[permutation])


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
