"""Token loss by the time t_x: which times a likelihood bound comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.evaluation.bounds import BoundSettings, average_draws

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
        process: of the tokens.
        x: clean.
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
