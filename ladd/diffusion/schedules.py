"""Noise schedules: how much of the clean state is left at time t (paper, Sections 2.1, 2.2 and B.1, Table 7)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor


class DiscreteSchedule(ABC):
    """alpha(t): the probability that a position still has its clean value at time t; falls from 1 to 0."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Survival probability in [0, 1], elementwise, for t in [0, 1]."""

    @abstractmethod
    def alpha_derivative(self, t: Tensor) -> Tensor:
        """d alpha / dt (negative), elementwise."""

    def elbo_weight(self, t: Tensor) -> Tensor:
        """-alpha'(t) / (1 - alpha(t)), the weight of the masked process's continuous-time ELBO (Eq. 6), for t > 0.

        Schedules with alpha(0) = 1 give it in closed form: 1 - alpha(t) rounds to 0 at small t.
        """
        return -self.alpha_derivative(t) / (1 - self.alpha(t))


class Linear(DiscreteSchedule):
    """alpha = 1 - t."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def elbo_weight(self, t: Tensor) -> Tensor:
        return 1 / t


class Polynomial(DiscreteSchedule):
    """alpha = 1 - t^power. A power above 1 reveals early in the reverse process."""

    def __init__(self, power: float = 3.0):
        self.power = power

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t**self.power

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -self.power * t ** (self.power - 1)

    def elbo_weight(self, t: Tensor) -> Tensor:
        return self.power / t


class Geometric(DiscreteSchedule):
    """alpha = exp(-b0^(1-t) b1^t); alpha(0) = exp(-b0) and alpha(1) = exp(-b1) only approach 1 and 0."""

    def __init__(self, b0: float = 1e-5, b1: float = 20.0):
        self.b0, self.b1 = b0, b1

    def _rate(self, t: Tensor) -> Tensor:
        return self.b0 ** (1 - t) * self.b1**t

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-self._rate(t))

    def alpha_derivative(self, t: Tensor) -> Tensor:
        rate = self._rate(t)
        return -rate * math.log(self.b1 / self.b0) * torch.exp(-rate)


class Cosine(DiscreteSchedule):
    """alpha = 1 - cos(pi/2 (1 - t))."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - torch.cos(math.pi / 2 * (1 - t))

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * torch.sin(math.pi / 2 * (1 - t))

    def elbo_weight(self, t: Tensor) -> Tensor:
        return math.pi / 2 / torch.tan(math.pi / 2 * t)


DISCRETE_SCHEDULES: dict[str, DiscreteSchedule] = {
    "linear": Linear(),
    "polynomial": Polynomial(),
    "geometric": Geometric(),
    "cosine": Cosine(),
}


class GaussianSchedule(ABC):
    """Variance-preserving: z_t = a(t) z_0 + s(t) noise with a^2 + s^2 = 1.

    a(1) is exactly 0, so that sampling starts where the forward process ends.
    """

    @abstractmethod
    def signal_squared(self, t: Tensor) -> Tensor:
        """a(t)^2 in [0, 1], elementwise, for t in [0, 1]."""

    def signal(self, t: Tensor) -> Tensor:
        """a(t)."""
        return self.signal_squared(t).sqrt()

    def noise(self, t: Tensor) -> Tensor:
        """s(t)."""
        return (1 - self.signal_squared(t)).sqrt()


class LinearVariance(GaussianSchedule):
    """a^2 = 1 - t."""

    def signal_squared(self, t: Tensor) -> Tensor:
        return 1 - t


class CosineVariance(GaussianSchedule):
    """a^2 = cos^2(((t + 0.008) / 1.008) pi/2), divided by its value at 0 so that a(0) = 1."""

    def signal_squared(self, t: Tensor) -> Tensor:
        signal = self._squared_cosine(t) / self._squared_cosine(torch.zeros_like(t))
        # cos(pi/2) is 6e-17 in floating point; the process must really end in pure noise.
        return torch.where(t >= 1, torch.zeros_like(signal), signal)

    def _squared_cosine(self, t: Tensor) -> Tensor:
        return torch.cos((t + 0.008) / 1.008 * math.pi / 2) ** 2


class SqrtVariance(GaussianSchedule):
    """a^2 = sqrt(1 - t): a^2(0.5) = 0.71, so latents are denoised a little ahead of linear tokens."""

    def signal_squared(self, t: Tensor) -> Tensor:
        return (1 - t).sqrt()


GAUSSIAN_SCHEDULES: dict[str, GaussianSchedule] = {
    "linear": LinearVariance(),
    "cosine": CosineVariance(),
    "sqrt": SqrtVariance(),
}
