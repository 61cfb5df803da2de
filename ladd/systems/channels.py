"""The latent stream of LADD, and the losses of tokens and latents from one pass (paper, Eqs. 12-14)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Noised, Prediction, Process
from ladd.diffusion.schedules import DISCRETE_SCHEDULES, GAUSSIAN_SCHEDULES
from ladd.diffusion.times import ChannelTimes, TimeDraw
from ladd.networks import MMDiT


@dataclass(frozen=True)
class Latents:
    """Clean latents of a batch: vectors (B, L, w) and, where they are discrete, codes int64 (B, L)."""

    vectors: Tensor
    codes: Tensor | None = None

    def select(self, rows: Tensor) -> Latents:
        """The latents of some sequences of the batch."""
        return Latents(self.vectors[rows], None if self.codes is None else self.codes[rows])


class Channel(ABC):
    """The process of the latents, and how a two-stream network is shown them.

    Attributes:
        process: of codes or vectors.
        in_nats: whether its loss is a likelihood term, in nats per sequence.
    """

    process: Process
    in_nats: bool

    @abstractmethod
    def noised(self, clean: Latents, t: Tensor, noise: StreamNoise, dropout: float) -> Noised:
        """Latents at times t (B,), as the network takes them: vectors (B, L, w), and which are masked, or None."""

    @abstractmethod
    def loss(
        self, prediction: Prediction, clean: Latents, noised: Noised, times: TimeDraw, weight: str, kept: Tensor
    ) -> Tensor:
        """Loss (B,); ``kept`` bool (B,) says whose latents were not dropped."""


class Codes(Channel):
    """Masked diffusion of codes; a learned vector stands for the mask.

    Args:
        codebook: K.
    """

    in_nats = True
    process: MaskedProcess

    def __init__(self, schedule: str, codebook: int):
        self.process = MaskedProcess(DISCRETE_SCHEDULES[schedule], codebook)

    def noised(self, clean: Latents, t: Tensor, noise: StreamNoise, dropout: float) -> Noised:
        return Noised(clean.vectors, self.process.draw_mask(t, noise, clean.vectors.shape[1]))

    def loss(
        self, prediction: Prediction, clean: Latents, noised: Noised, times: TimeDraw, weight: str, kept: Tensor
    ) -> Tensor:
        assert clean.codes is not None
        return self.process.loss(prediction, clean.codes, noised, times, weight)


class Vectors(Channel):
    """Gaussian diffusion of vectors."""

    in_nats = False
    process: GaussianProcess

    def __init__(self, schedule: str):
        self.process = GaussianProcess(GAUSSIAN_SCHEDULES[schedule])

    def noised(self, clean: Latents, t: Tensor, noise: StreamNoise, dropout: float) -> Noised:
        """With probability ``dropout`` a sequence has the null latent 0 in place of its own."""
        return self.process.corrupt(clean.vectors * kept_rows(noise, dropout)[:, None, None], t, noise)

    def loss(
        self, prediction: Prediction, clean: Latents, noised: Noised, times: TimeDraw, weight: str, kept: Tensor
    ) -> Tensor:
        return self.process.loss(prediction, clean.vectors, noised, times, weight) * kept


def kept_rows(noise: StreamNoise, dropout: float) -> Tensor:
    """Sequences, bool (B,), whose latents are not dropped."""
    return noise.uniform("dropout", 1)[:, 0] >= dropout


class PairLosses(NamedTuple):
    """Per-sequence losses, each (B,): token in nats per sequence; latent in nats (codes) or mean squared error.

    A loss that was not asked for is None (the latent loss in Stage 1, where lambda_z = 0).
    """

    token: Tensor | None
    latent: Tensor | None


def pair_losses(
    denoiser: MMDiT,
    x: Tensor,
    latents: Latents,
    times: ChannelTimes,
    noise: SampleNoise,
    step: int,
    process: Process,
    channel: Channel,
    *,
    weight: str = "elbo",
    latent_dropout: float = 0.0,
    with_token: bool = True,
    with_latent: bool = True,
) -> PairLosses:
    """Noise both streams, run the denoiser once, and return the loss of each.

    Args:
        x: int64 (B, N), clean tokens.
        latents: clean latents.
        noise, step: draws of the batch.
        process: of the tokens.
        channel: of the latents.
        weight: "elbo" or "constant", of both cross-entropies.
        latent_dropout: probability that a sequence's latent is the null latent 0, without latent loss (Co-LADD).
        with_token, with_latent: which losses to compute.
    """
    x_t = process.corrupt(x, times.token.t, StreamNoise(noise, "token", step))
    of_latents = StreamNoise(noise, "latent", step)
    z_t = channel.noised(latents, times.latent.t, of_latents, latent_dropout)
    hidden, latent_hidden = denoiser(x_t.state, z_t.state, times.token.t, times.latent.t, z_t.changed)
    token = latent = None
    if with_token:
        token = process.loss(Prediction(hidden, denoiser.token_head), x, x_t, times.token, weight)
    if with_latent:
        predicted, kept = Prediction(latent_hidden, denoiser.latent_head), kept_rows(of_latents, latent_dropout)
        latent = channel.loss(predicted, latents, z_t, times.latent, weight, kept)
    return PairLosses(token, latent)


def stack_losses(losses: PairLosses) -> Tensor:
    """Those that were asked for, (B, 1) or (B, 2)."""
    return torch.stack([part for part in losses if part is not None], dim=1)
