"""Latents first, then tokens by any token sampler, given the clean latents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import DrawSettings, Prediction, Step
from ladd.samplers.base import State, time_grid
from ladd.samplers.nested import NestedSettings, token_part
from ladd.samplers.sequential import Sequential
from ladd.samplers.tokens import TokenSampler


class Memory(NamedTuple):
    """What is kept from step to step."""

    latent_steps: int  # that are left
    tokens: Any  # of the token sampler


@dataclass(frozen=True, kw_only=True)
class LatentsFirst(Sequential):
    """`sequential` with another second half.

    Attributes:
        tokens: settings of the token sampler, its name as "schedule".
        latent_temperature: of codes; None for that of the tokens.
    """

    name: ClassVar[str] = "latents-first"
    Settings: ClassVar[type[SweepConfig]] = NestedSettings
    markers: ClassVar[str] = "<>8H1p"

    tokens: Any
    latent_temperature: float | None = None

    @classmethod
    def check(cls, sweep: SweepConfig) -> None:
        super().check(sweep)
        assert isinstance(sweep, NestedSettings)
        sweep.token_sampler.check_grid(sweep)

    @cached_property
    def token_sampler(self) -> TokenSampler:
        """Of the second half."""
        return token_part(self)

    @property
    def draw_settings(self) -> DrawSettings:
        """How latents are drawn."""
        return DrawSettings(self.latent_temperature or self.temperature, self.precision, self.eta)

    def steps(self, start: Tensor) -> Iterator[Step]:
        yield from time_grid(self.latent_steps, start.device)
        yield from self.token_sampler.steps(start)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        state = super().initialise(start, noise)
        return replace(state, memory=Memory(self.latent_steps, self.token_sampler.begin(state)))

    def update(self, state: State, step: Step) -> State:
        left, tokens = state.memory
        if left:
            return replace(self._latent_step(state, step), memory=Memory(left - 1, tokens))
        z = state.latents
        assert z is not None

        def ask(rows: Tensor, t: Tensor) -> Prediction:
            return self.source.predict(state.tokens[rows], z[rows], t, t.new_zeros(t.shape))[0]

        after = self.token_sampler.advance(replace(state, memory=tokens), step, ask)
        return replace(after, memory=Memory(0, after.memory))
