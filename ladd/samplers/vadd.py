"""Sampler of VADD (Xie et al., 2026, arXiv 2505.17384): a vector from N(0, I) stands behind all tokens of a step.

Given the vector the tokens that a step reveals are independent; without it they are not. It is drawn anew in every
step, or once for all of them (the paper's "consistency sampler", VADD-CS).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State, reverse_tokens, start_state, time_grid
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import Stream


@dataclass(frozen=True)
class VaddSource:
    """Tokens given a vector.

    Attributes:
        width: d of the vector.
        predict: (x int64 (M, N), t (M,), z (M, d)) -> prediction of the clean tokens.
    """

    tokens: Stream
    width: int
    predict: Callable[[Tensor, Tensor, Tensor], Prediction]


class VaddSweep(SweepConfig):
    """A sweep with the settings of the sampler."""

    latent: Literal["fresh", "kept"] = "fresh"  # drawn in every step, or once

    @property
    def inference(self) -> str:
        """The bound of one vector for all steps is another one."""
        return super().inference + ("-kept" if self.latent == "kept" else "")


@dataclass(frozen=True, kw_only=True)
class Vadd(DefaultSampler):
    """Ancestral steps given the vector; one pass each.

    Attributes:
        token_steps: K.
        token_lag: bends the grid, see `time_grid`; at least 1.
        latent: "fresh" or "kept".
    """

    name: ClassVar[str] = "vadd"
    meaning: ClassVar[str] = "each step is given a random vector that its tokens have in common"
    bounded: ClassVar[bool] = False  # one vector for all steps: its full bound is one
    takes: ClassVar[type] = VaddSource
    Settings: ClassVar[type[SweepConfig]] = VaddSweep

    source: VaddSource
    token_steps: int
    token_lag: float = 1.0
    latent: str = "fresh"

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(self.token_steps, start.device, self.token_lag)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        return start_state(start, noise, self.source.tokens)

    def update(self, state: State, step: Step) -> State:
        tokens = self.source.tokens
        of_latent = StreamNoise(state.draws[tokens.name].noise, "latent", step.index if self.latent == "fresh" else 0)
        z = of_latent.normal("", self.source.width).float()
        return reverse_tokens(
            self, state, step, tokens, lambda rows, t: self.source.predict(state.tokens[rows], t, z[rows])
        )
