"""Likelihood bounds, always with the ELBO weight, over several time draws per sequence (paper, Eqs. 6, 70, 80)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ladd.diffusion.noise import SampleNoise, derive
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
def token_bound(process: Process, denoiser: Any, x: Tensor, settings: BoundSettings) -> Tensor:
    """A bound (n,) on -log p(x) of tokens alone, nats per token; x int64 (n, N)."""
    return average_draws(x, settings, lambda rows, noise, draw: token_loss(process, denoiser, x[rows], noise, draw))
