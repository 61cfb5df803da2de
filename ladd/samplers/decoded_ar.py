"""Latent diffusion with an autoregressive decoder (LD4LG): latents by their prior, then tokens from left to right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from torch import Tensor

from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Step
from ladd.samplers.ar import LeftToRight
from ladd.samplers.base import State, time_grid
from ladd.samplers.decoded import prior_step
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import NextTokenSource, PriorSource


@dataclass(frozen=True)
class PrefixedSource:
    """Latents, and tokens from left to right behind them.

    Attributes:
        prior: that draws latents.
        tokens: by a `PrefixedTransformer`.
    """

    prior: PriorSource
    tokens: NextTokenSource


@dataclass(frozen=True, kw_only=True)
class DecodedAr(DefaultSampler):
    """K steps of the latents by the prior, and one pass over each position of the tokens.

    Attributes:
        token_steps: K, of the latents: there are no others.
        eta: stochasticity of these steps, in [0, 1].
    """

    name: ClassVar[str] = "decoded-ar"
    meaning: ClassVar[str] = "the latents are drawn first, then the tokens given them from left to right"
    takes: ClassVar[type] = PrefixedSource
    line: ClassVar[Any] = (0, (6, 2, 1, 2, 1, 2))
    markers: ClassVar[str] = "hXdP*s"

    source: PrefixedSource
    token_steps: int
    eta: float = 0.0

    def steps(self, start: Tensor) -> Iterator[Step]:
        """Those of the latents, and one for each token."""
        yield from time_grid(self.token_steps, start.device)
        yield from time_grid(start.shape[1], start.device)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        latents, none = self.source.prior.latents, start.new_zeros(len(start))
        draws = {name: StreamNoise(noise, name) for name in ("token", latents.name)}
        z = latents.process.prior(draws[latents.name], *latents.shape)
        memory = self.token_steps, self.source.tokens.cache()  # latent steps that are left
        return State(start, start == self.source.tokens.vocabulary, none, none, draws, z, memory)

    def update(self, state: State, step: Step) -> State:
        left, cache = state.memory
        if left:
            return replace(prior_step(self, self.source.prior, state, step), memory=(left - 1, cache))
        if step.index == 0:
            self.source.tokens.network(state.tokens[:, :0], cache, z=state.latents)
        reader = LeftToRight(source=self.source.tokens, temperature=self.temperature, precision=self.precision)
        return replace(reader.update(replace(state, memory=cache), step), memory=state.memory)
