"""Likelihood bounds with the ELBO weight over several time draws (paper, Eqs. 6, 70, 80), and token losses by time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise, derive
from ladd.diffusion.process import Process, token_loss
from ladd.progress import bar


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
def token_bound(process: Process, denoiser: Any, x: Tensor, settings: BoundSettings) -> Tensor:
    """A bound (n,) on -log p(x) of tokens alone, nats per token; x int64 (n, N)."""
    return average_draws(x, settings, lambda rows, noise, draw: token_loss(process, denoiser, x[rows], noise, draw))


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
def loss_by_time(
    process: MaskedProcess,
    x: Tensor,
    settings: BoundSettings,
    plain_loss: Callable[[Tensor, SampleNoise, int], tuple[Tensor, Tensor]],
) -> LossByTime:
    """Losses of masked tokens x int64 (n, N) by bin.

    Args:
        settings: of the estimate; its draws are those of a bound with the same.
        plain_loss: (rows of x, their noise, draw) -> unweighted losses (B,) in nats per sequence, and their times (B,).
    """

    def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
        plain, t = plain_loss(rows, noise, draw)
        masked = process.draw_mask(t, StreamNoise(noise, "token", draw), x.shape[1]).sum(dim=1)  # once more
        plain = plain.double()
        values = torch.stack([plain * process.schedule.elbo_weight(t), plain, masked.double()], dim=1)
        place = torch.nn.functional.one_hot((t * BINS).long().clamp_max(BINS - 1), BINS)
        return (values[:, :, None] * place[:, None]).flatten(1)  # zero outside the bin of t

    return LossByTime(*average_draws(x, settings, loss).unflatten(1, (3, BINS)).unbind(dim=1))
