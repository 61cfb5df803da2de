"""Left-to-right sampling of an autoregressive model, with a key-value cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ladd.diffusion.heads import draw_behind_head
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Step
from ladd.samplers.base import Sampler, State, time_grid
from ladd.samplers.sources import NextTokenSource


@dataclass(frozen=True, kw_only=True)
class LeftToRight(Sampler):
    """One position per step.

    Each costs one pass over one new position: N of them add up to one full pass of N positions.
    """

    name: ClassVar[str] = "ar"
    meaning: ClassVar[str] = "one position per step"
    takes: ClassVar[type] = NextTokenSource

    source: NextTokenSource

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(start.shape[1], start.device)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        none = start.new_zeros(len(start))
        draws = {"token": StreamNoise(noise, "token")}
        return State(start, start == self.source.vocabulary, none, none, draws, memory=self.source.cache())

    def update(self, state: State, step: Step) -> State:
        network, i, x = self.source.network, step.index, state.tokens.clone()
        previous = x[:, i - 1 : i] if i else x.new_full((len(x), 1), self.source.vocabulary)
        hidden = network(previous, state.memory, start=i)[:, 0]
        uniform = state.draws["token"].fixed(x.shape[1])[:, i]
        drawn = draw_behind_head(
            network.token_head, hidden, uniform, temperature=self.temperature, precision=self.precision
        )
        x[:, i] = torch.where(state.free[:, i], drawn, x[:, i])
        return replace(state, tokens=x, token_passes=state.token_passes + 1)
