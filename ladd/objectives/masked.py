"""Cross-entropy of masked diffusion (paper, Eqs. 6 and 12)."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.networks import TokenDenoiser
from ladd.objectives.cross_entropy import weighted_cross_entropy
from ladd.processes.masked import draw_mask
from ladd.randomness import SampleNoise
from ladd.schedules import MaskedSchedule
from ladd.times import TimeDraw, low_discrepancy_times


def masked_cross_entropy(
    hidden: Tensor, head: torch.nn.Module, targets: Tensor, masked: Tensor, weight: Tensor
) -> Tensor:
    """Weighted sum over masked positions of -log p(target); revealed positions cost 0 (SUBS).

    The head runs on masked positions only.

    Args:
        hidden: (B, N, d).
        head: (M, d) -> (M, V).
        targets: int64 (B, N).
        masked: bool (B, N).
        weight: (B,), of the sequences; they must have equal shares in what is minimised (`weighted_cross_entropy`).
    Returns:
        float32 (or wider) (B,), nats per sequence.
    """
    rows = weight[:, None].expand_as(masked)[masked]
    nll = weighted_cross_entropy(hidden[masked], head, targets[masked], rows)
    return nll.new_zeros(masked.shape).masked_scatter(masked, nll).sum(dim=1)


def diffusion_weight(schedule: MaskedSchedule, times: TimeDraw, kind: str) -> Tensor:
    """Weight of each sequence's loss, (B,): ELBO or constant, times the importance weight of its time."""
    if kind == "elbo":
        return schedule.elbo_weight(times.t) * times.weight
    return times.weight


def mdlm_loss(
    denoiser: TokenDenoiser,
    x: Tensor,
    noise: SampleNoise,
    step: int,
    schedule: MaskedSchedule,
    *,
    mask_id: int,
    weight: str = "elbo",
    warp: float = 1.0,
) -> Tensor:
    """Weighted masked cross-entropy at one low-discrepancy time per sequence.

    With weight "elbo" its mean is an unbiased estimate of the negative ELBO, whatever the warp.

    Args:
        denoiser: token denoiser.
        x: int64 (B, N), clean.
        noise: draws of the batch.
        step: training step or draw number.
        schedule: of the tokens.
        mask_id: V.
        weight: "elbo" or "constant".
        warp: of the time sampler.
    Returns:
        (B,), nats per sequence.
    """
    times = low_discrepancy_times(noise.whole.uniform("t_x", step, 1)[:, 0], warp).select(noise.rows)
    masked = draw_mask(times.t, schedule, noise.uniform("token_mask", step, x.shape[1]))
    hidden = denoiser(torch.where(masked, mask_id, x), times.t)
    return masked_cross_entropy(hidden, denoiser.token_head, x, masked, diffusion_weight(schedule, times, weight))
