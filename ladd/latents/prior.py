"""The prior of continuous latents: a denoiser that never sees the tokens (sequential Co-LADD), and its loss.

It is a model of its own, trained on the latents alone, and any model on the same latents can draw from it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.schedules import GAUSSIAN_SCHEDULES
from ladd.diffusion.times import low_discrepancy_times
from ladd.networks.transformer import TimeEmbedding, Transformer

if TYPE_CHECKING:
    from ladd.config.latents import LatentShape, PriorConfig


class LatentPrior(nn.Module):
    """Transformer over the latents. With L = 1 its attention is trivial and it is an MLP.

    Args:
        latent_width: w.
        network: arguments of `Transformer`.
    """

    def __init__(self, latent_width: int, schedule: str, **network):
        super().__init__()
        self.process = GaussianProcess(GAUSSIAN_SCHEDULES[schedule])
        width = network["width"]
        self.embedding = nn.Linear(latent_width, width)
        self.time = TimeEmbedding(network["condition"])
        self.transformer = Transformer(1, **network)
        self.latent_head = nn.Linear(width, latent_width)

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        """Prediction of z_0 (B, L, w) from z_t (B, L, w) at times t (B,)."""
        positions = torch.arange(z.shape[1], device=z.device, dtype=torch.float32)
        return self.latent_head(self.transformer([self.embedding(z)], [self.time(t)], [positions])[0])


def build_prior(config: PriorConfig, shape: LatentShape) -> LatentPrior:
    """The network of a prior of latents of that shape, untrained."""
    return LatentPrior(shape.width, config.schedule, **config.network.model_dump())


def prior_loss(prior: LatentPrior, z: Tensor, noise: SampleNoise, step: int) -> Tensor:
    """Squared error of the z_0-prediction at one time per sequence: z (B, L, w), clean -> (B,)."""
    times = low_discrepancy_times(noise.whole.uniform("latent_denoiser_t", step, 1)[:, 0]).select(noise.rows)
    z_t = prior.process.corrupt(z, times.t, StreamNoise(noise, "latent_denoiser", step)).state
    return (prior(z_t, times.t) - z).square().mean(dim=(1, 2))
