"""The protocol of a diffusion process: one stream, of tokens, codes or continuous latents, with its schedule inside.

Shapes: B samples, N positions, d hidden width; what stands at a position is an id (tokens, codes) or a vector (w).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.times import TimeDraw, low_discrepancy_times


class Noised(NamedTuple):
    """A state of the forward process."""

    state: Tensor  # (B, N) or (B, N, w)
    changed: Tensor | None = None  # bool (B, N), where a process knows which positions it changed


class Prediction(NamedTuple):
    """What a network says of the clean state of some samples; the head is applied where it is needed."""

    hidden: Tensor  # (M, N, d) of the M selected samples, or (1, N, d) where they share it
    head: nn.Module  # hidden states to logits, or to vectors
    rows: Tensor | None = None  # bool (B,), which samples, where they were selected


@dataclass(frozen=True)
class Step:
    """One reverse step t -> s, 0 <= s < t <= 1."""

    index: int
    t: Tensor  # float64 scalar
    s: Tensor


@dataclass(frozen=True)
class DrawSettings:
    """How values are drawn in a reverse step.

    Attributes:
        temperature: of tokens and codes, > 0.
        precision: of categorical draws, "float64" or "float32".
        eta: stochasticity of DDIM steps, in [0, 1].
    """

    temperature: float = 1.0
    precision: str = "float64"
    eta: float = 0.0


class Process(ABC):
    """What noise does to one stream, and how it is undone."""

    @abstractmethod
    def prior(self, noise: StreamNoise, *shape: int) -> Tensor:
        """State (B, *shape) at t = 1."""

    @abstractmethod
    def corrupt(self, clean: Tensor, t: Tensor, noise: StreamNoise) -> Noised:
        """Draw from q(x_t | x_0); t (B,) in [0, 1]."""

    @abstractmethod
    def loss(self, prediction: Prediction, clean: Tensor, noised: Noised, times: TimeDraw, weight: str) -> Tensor:
        """Loss (B,) of a prediction from a noised state.

        With ``weight`` "elbo" its mean over times is a term of the negative ELBO, in nats per sequence, where the
        process has one; "constant" leaves the weight of each time at 1.
        """

    @abstractmethod
    def wanted(self, state: Tensor, step: Step, noise: StreamNoise) -> Tensor:
        """Positions, bool (B, N), at which a step needs a prediction.

        It is known before the network is asked, so that samples without one need no pass.
        """

    def finished(self, state: Tensor) -> Tensor:
        """Samples, bool (B,), that no later step changes."""
        return state.new_zeros(len(state), dtype=torch.bool)

    @abstractmethod
    def reverse(
        self,
        state: Tensor,
        wanted: Tensor,
        prediction: Prediction,
        step: Step,
        noise: StreamNoise,
        settings: DrawSettings,
    ) -> Tensor:
        """The state after a step.

        Args:
            state: (B, N) or (B, N, w).
            wanted: bool (B, N), where it may change.
            prediction: of the clean state, of some samples; every sample with a wanted position is among them.
        """


def token_loss(
    process: Process,
    denoiser: Any,
    x: Tensor,
    noise: SampleNoise,
    step: int,
    *,
    weight: str = "elbo",
    warp: float = 1.0,
) -> Tensor:
    """Loss (B,) of tokens x int64 (B, N) at one low-discrepancy time per sequence, in nats per sequence.

    The denoiser takes x_t and times t (B,) to hidden states (B, N, d), and has a `token_head` (M, d) -> logits (M, V).
    With weight "elbo" its mean is an unbiased estimate of the negative ELBO, whatever the warp of the times.
    """
    times = low_discrepancy_times(noise.whole.uniform("t_x", step, 1)[:, 0], warp).select(noise.rows)
    noised = process.corrupt(x, times.t, StreamNoise(noise, "token", step))
    prediction = Prediction(denoiser(noised.state, times.t), denoiser.token_head)
    return process.loss(prediction, x, noised, times, weight)
