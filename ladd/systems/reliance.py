"""How much the token predictions of a latent-augmented model rely on its latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.times import ChannelTimes, TimeDraw, draw_channel_times
from ladd.evaluation.bounds import BoundSettings, average_draws
from ladd.systems.base import System
from ladd.systems.channels import Latents, pair_losses, stack_losses
from ladd.systems.ladd import Ladd, encode_all, latent_times

PREFIX = "latent_reliance/"


@torch.no_grad()
def latent_reliance(
    system: System, model: Any, x: Tensor, settings: BoundSettings, documents: Tensor | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Token losses by the latents that the model is given, (n,), nats per token, with the ELBO weight.

    own: the clean latents of the sequence itself. shuffled: those of another one, half of the sequences further on: a
    model that ignores its latents loses nothing, and one that relies on them does worse than without any. none: latents
    at t_z = 1, which tell nothing; of a model that was trained there. Times and masks are the same in all three.

    Args:
        system: of the model; nothing is given back for one without latents.
        x: clean tokens int64 (n, N), at least 2; neighbours may depend on each other.
        documents: int64 (n,), where sequences of one document are neighbours in meaning; the other is then of another.
    """
    if not isinstance(system, Ladd):
        return
    own = encode_all(model, x, settings.batch)
    yield f"{PREFIX}own", _token_loss(system, model, x, own, settings, 0.0)
    yield f"{PREFIX}shuffled", _token_loss(system, model, x, own.select(_others(len(x), documents)), settings, 0.0)
    if latent_times(system.settings).get("masked") is not None:
        yield f"{PREFIX}none", _token_loss(system, model, x, own, settings, 1.0)


def _others(count: int, documents: Tensor | None) -> Tensor:
    """For each of the sequences another one, int64 (count,): each is taken once, and few are of the same document."""
    order = torch.arange(count) if documents is None else documents.cpu().argsort(stable=True)
    others = torch.empty_like(order)
    others[order] = order.roll(count // 2)
    return others


def _token_loss(
    system: Ladd, model: Any, x: Tensor, latents: Latents, settings: BoundSettings, latent_time: float
) -> Tensor:
    def loss(rows: Tensor, noise: SampleNoise, draw: int) -> Tensor:
        token = draw_channel_times(noise, draw, "clean").token
        times = ChannelTimes(token, TimeDraw(torch.full_like(token.t, latent_time), torch.ones_like(token.t)))
        arguments = x[rows], latents.select(rows), times, noise, draw, system.process, system.channel
        return stack_losses(pair_losses(model.denoiser, *arguments, with_latent=False))

    return average_draws(x, settings, loss).unbind(dim=1)[0]
