"""Gaussian diffusion on continuous latents, z_0-prediction and DDIM (paper, Sections 2.1 and B.1)."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import DrawSettings, Noised, Prediction, Process, Step
from ladd.diffusion.schedules import GaussianSchedule
from ladd.diffusion.times import TimeDraw


class GaussianProcess(Process):
    """z_t = a(t) z_0 + s(t) noise (paper, Eq. 20)."""

    def __init__(self, schedule: GaussianSchedule):
        self.schedule = schedule

    def prior(self, noise: StreamNoise, *shape: int) -> Tensor:
        return noise.normal("start", *shape).float()

    def corrupt(self, clean: Tensor, t: Tensor, noise: StreamNoise) -> Noised:
        t = t[:, None, None]
        drawn = noise.normal("", *clean.shape[1:])
        return Noised((self.schedule.signal(t) * clean + self.schedule.noise(t) * drawn).to(clean.dtype))

    def loss(self, prediction: Prediction, clean: Tensor, noised: Noised, times: TimeDraw, weight: str) -> Tensor:
        """Mean squared error of z_0 over positions and coordinates, times the importance weight of the time."""
        error = prediction.head(prediction.hidden) - clean
        return error.square().mean(dim=(1, 2)) * times.weight

    def wanted(self, state: Tensor, step: Step, noise: StreamNoise) -> Tensor:
        return state.new_ones(state.shape[:2], dtype=torch.bool)

    def reverse(
        self,
        state: Tensor,
        wanted: Tensor,
        prediction: Prediction,
        step: Step,
        noise: StreamNoise,
        settings: DrawSettings,
    ) -> Tensor:
        rows, shape, state = prediction.rows, state.shape[1:], state.clone()
        assert rows is not None
        z_hat = prediction.head(prediction.hidden)
        # Deterministic steps draw nothing.
        drawn = noise.select(rows).normal("", *shape) if settings.eta > 0 else None
        state[rows] = self.ddim(state[rows], z_hat, step, drawn, eta=settings.eta)
        return state

    def ddim(self, z_t: Tensor, z_hat: Tensor, step: Step, noise: Tensor | None = None, *, eta: float = 0.0) -> Tensor:
        """One reverse step t -> s (paper, Eqs. 39-41).

        Args:
            z_t: (B, L, w).
            z_hat: (B, L, w), prediction of z_0.
            noise: (B, L, w), standard normal; None where eta is 0.
            eta: in [0, 1]; 0 is deterministic, 1 the ancestral bridge.
        """
        a_t, a_s = self.schedule.signal(step.t), self.schedule.signal(step.s)
        sigma_t, sigma_s = self.schedule.noise(step.t), self.schedule.noise(step.s)
        noise_hat = (z_t - a_t * z_hat) / sigma_t
        variance = eta**2 * (sigma_s**2 / sigma_t**2) * (1 - a_t**2 / a_s**2)
        z_s = a_s * z_hat + (sigma_s**2 - variance).clamp(min=0).sqrt() * noise_hat
        if eta > 0:
            assert noise is not None, "a step with eta > 0 adds noise"
            z_s = z_s + variance.sqrt() * noise
        return z_s.to(z_t.dtype)
