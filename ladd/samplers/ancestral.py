"""Ancestral sampling of tokens alone: the reverse process on a time grid (paper, Eqs. 44-47)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Step
from ladd.samplers.base import Sampler, State, reverse_tokens, start_state, time_grid
from ladd.samplers.sources import TokenSource


@dataclass(frozen=True, kw_only=True)
class Ancestral(Sampler):
    """Steps of the reverse process; under masks a token never changes once it is revealed.

    Attributes:
        token_steps: K.
        token_lag: bends the grid, see `time_grid`; at least 1.
    """

    name: ClassVar[str] = "ancestral"
    meaning: ClassVar[str] = "the reverse process step by step"
    takes: ClassVar[type] = TokenSource

    source: TokenSource
    token_steps: int
    token_lag: float = 1.0

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(self.token_steps, start.device, self.token_lag)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        return start_state(start, noise, self.source.tokens)

    def update(self, state: State, step: Step) -> State:
        return reverse_tokens(
            self, state, step, self.source.tokens, lambda rows, t: self.source.predict(state.tokens[rows], t)
        )
