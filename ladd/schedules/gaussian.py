"""Variance-preserving schedules a(t), s(t) with a^2 + s^2 = 1 (paper, Section B.1 and Table 7)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor


class GaussianSchedule(ABC):
    """z_t = a(t) z_0 + s(t) noise. a(1) is exactly 0, so that sampling starts where the forward process ends."""

    @abstractmethod
    def signal_squared(self, t: Tensor) -> Tensor:
        """a(t)^2 in [0, 1], elementwise, for t in [0, 1]."""

    def signal(self, t: Tensor) -> Tensor:
        """a(t)."""
        return self.signal_squared(t).sqrt()

    def noise(self, t: Tensor) -> Tensor:
        """s(t)."""
        return (1 - self.signal_squared(t)).sqrt()


class Linear(GaussianSchedule):
    """a^2 = 1 - t."""

    def signal_squared(self, t: Tensor) -> Tensor:
        return 1 - t


class Cosine(GaussianSchedule):
    """a^2 = cos^2(((t + 0.008) / 1.008) pi/2), divided by its value at 0 so that a(0) = 1."""

    def signal_squared(self, t: Tensor) -> Tensor:
        signal = self._squared_cosine(t) / self._squared_cosine(torch.zeros_like(t))
        # cos(pi/2) is 6e-17 in floating point; the process must really end in pure noise.
        return torch.where(t >= 1, torch.zeros_like(signal), signal)

    def _squared_cosine(self, t: Tensor) -> Tensor:
        return torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2


class Sqrt(GaussianSchedule):
    """a^2 = sqrt(1 - t): a^2(0.5) = 0.71, so latents are denoised a little ahead of linear tokens."""

    def signal_squared(self, t: Tensor) -> Tensor:
        return (1 - t).sqrt()


GAUSSIAN_SCHEDULES: dict[str, GaussianSchedule] = {"linear": Linear(), "cosine": Cosine(), "sqrt": Sqrt()}
