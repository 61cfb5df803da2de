"""Survival probabilities alpha(t) of masked diffusion (paper, Section 2.2 and Table 7)."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor


class MaskedSchedule(ABC):
    """alpha(t): the probability that a position is still unmasked at time t; falls from 1 to 0."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Survival probability in [0, 1], elementwise, for t in [0, 1]."""

    @abstractmethod
    def alpha_derivative(self, t: Tensor) -> Tensor:
        """d alpha / dt (negative), elementwise."""

    def elbo_weight(self, t: Tensor) -> Tensor:
        """-alpha'(t) / (1 - alpha(t)), the weight of the continuous-time ELBO (paper, Eq. 6), for t > 0.

        Schedules with alpha(0) = 1 give it in closed form: 1 - alpha(t) rounds to 0 at small t.
        """
        return -self.alpha_derivative(t) / (1 - self.alpha(t))

    def reveal_probability(self, t: Tensor, s: Tensor) -> Tensor:
        """Probability that a position masked at t is unmasked at s < t (paper, Eq. 44).

        At s = 0 it is 1: a schedule whose alpha(0) falls short of 1 still ends in a complete sequence.
        """
        probability = (self.alpha(s) - self.alpha(t)) / (1 - self.alpha(t))
        return torch.where(s <= 0, torch.ones_like(probability), probability)


class Linear(MaskedSchedule):
    """alpha = 1 - t."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def elbo_weight(self, t: Tensor) -> Tensor:
        return 1 / t


class Polynomial(MaskedSchedule):
    """alpha = 1 - t^power. A power above 1 reveals early in the reverse process."""

    def __init__(self, power: float = 3.0):
        self.power = power

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t**self.power

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -self.power * t ** (self.power - 1)

    def elbo_weight(self, t: Tensor) -> Tensor:
        return self.power / t


class Geometric(MaskedSchedule):
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


class Cosine(MaskedSchedule):
    """alpha = 1 - cos(pi/2 (1 - t))."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - torch.cos(math.pi / 2 * (1 - t))

    def alpha_derivative(self, t: Tensor) -> Tensor:
        return -math.pi / 2 * torch.sin(math.pi / 2 * (1 - t))

    def elbo_weight(self, t: Tensor) -> Tensor:
        return math.pi / 2 / torch.tan(math.pi / 2 * t)


MASKED_SCHEDULES: dict[str, MaskedSchedule] = {
    "linear": Linear(),
    "polynomial": Polynomial(),
    "geometric": Geometric(),
    "cosine": Cosine(),
}
