"""Latent diffusion with an autoregressive decoder (LD4LG): latents by their prior, then tokens from left to right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ladd.diffusion.heads import draw_behind_head
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Step
from ladd.networks.prefixed import PrefixedTransformer
from ladd.networks.transformer import KeyValueCache
from ladd.samplers.base import State, time_grid
from ladd.samplers.decoded import prior_step
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import PriorSource


@dataclass(frozen=True)
class PrefixedSource:
    """Latents, and the network that reads them before its tokens.

    Attributes:
        prior: that draws latents.
        network: the decoder.
        vocabulary: V, which is the start symbol too.
    """

    prior: PriorSource
    network: PrefixedTransformer
    vocabulary: int


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
        memory = self.token_steps, KeyValueCache()  # latent steps that are left
        return State(start, start == self.source.vocabulary, none, none, draws, z, memory)

    def update(self, state: State, step: Step) -> State:
        left, cache = state.memory
        if left:
            return replace(prior_step(self, self.source.prior, state, step), memory=(left - 1, cache))
        network, i, x = self.source.network, step.index, state.tokens.clone()
        previous = x[:, i - 1 : i] if i else x.new_full((len(x), 1), self.source.vocabulary)
        hidden = network(previous, cache, start=i, z=None if i else state.latents)[:, 0]
        uniform = state.draws["token"].fixed(x.shape[1])[:, i]
        drawn = draw_behind_head(
            network.token_head, hidden, uniform, temperature=self.temperature, precision=self.precision
        )
        x[:, i] = torch.where(state.free[:, i], drawn, x[:, i])
        return replace(state, tokens=x, token_passes=state.token_passes + 1)
