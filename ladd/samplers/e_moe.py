"""Sampler of E-MoE (Ivanov et al., 2026): the experts of all tokens are drawn in every step, and stand behind it.

Given the experts the tokens that a step reveals are independent; without them they are not, since what a token becomes
in a later block depends by attention on the experts of the others in an earlier one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State, reverse_tokens, start_state, time_grid
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import Stream


@dataclass(frozen=True)
class RoutedSource:
    """Tokens given draws that choose experts.

    Attributes:
        shape: (D, N, E) of the draws.
        predict: (x int64 (M, N), t (M,), uniform (M, D, N, E)) -> prediction of the clean tokens.
    """

    tokens: Stream
    shape: tuple[int, int, int]
    predict: Callable[[Tensor, Tensor, Tensor], Prediction]


@dataclass(frozen=True, kw_only=True)
class EMoe(DefaultSampler):
    """Ancestral steps given the experts, which are drawn anew in each; one pass each.

    Attributes:
        token_steps: K.
        token_lag: bends the grid, see `time_grid`; at least 1.
    """

    name: ClassVar[str] = "e-moe"
    meaning: ClassVar[str] = "each step is given randomly chosen experts of its tokens"
    takes: ClassVar[type] = RoutedSource

    source: RoutedSource
    token_steps: int
    token_lag: float = 1.0

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(self.token_steps, start.device, self.token_lag)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        return start_state(start, noise, self.source.tokens)

    def update(self, state: State, step: Step) -> State:
        source, noise = self.source, state.draws[self.source.tokens.name].noise

        def predict(rows: Tensor, t: Tensor) -> Prediction:
            uniform = StreamNoise(noise.select(rows), "route", step.index).uniform("", *source.shape)
            return source.predict(state.tokens[rows], t, uniform)

        return reverse_tokens(self, state, step, source.tokens, predict)
