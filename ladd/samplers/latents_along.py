"""Latents along with tokens: every pass of a token sampler takes a step of the latents too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import DrawSettings, Step
from ladd.samplers.base import Sampler, State, start_state
from ladd.samplers.nested import NestedSettings, token_part
from ladd.samplers.sources import PairSource
from ladd.samplers.tokens import TokenSampler


@dataclass(frozen=True, kw_only=True)
class LatentsAlong(Sampler):
    """Latents follow the times of the token sampler; steps that stay at one time leave them.

    Attributes:
        token_steps: K.
        token_lag: bends the tokens' grid, see `time_grid`; at least 1.
        latent_lead: of the latents' clock, at least 1.
        eta: stochasticity of continuous latents, in [0, 1].
        tokens: settings of the token sampler, its name as "schedule".
        latent_temperature: of codes; None for that of the tokens.
    """

    name: ClassVar[str] = "latents-along"
    Settings: ClassVar[type[SweepConfig]] = NestedSettings
    takes: ClassVar[type] = PairSource
    latents_at: ClassVar[str] = "shared"
    markers: ClassVar[str] = "234+x."

    source: PairSource
    token_steps: int
    token_lag: float = 1.0
    latent_lead: float = 1.0
    eta: float = 0.0
    tokens: Any
    latent_temperature: float | None = None

    @classmethod
    def check(cls, sweep: SweepConfig) -> None:
        super().check(sweep)
        assert isinstance(sweep, NestedSettings)
        if not sweep.token_sampler.on_grid:
            raise ValueError(
                f"tokens.schedule: {sweep.token_sampler.name!r} takes every sample through times of its own, and "
                f"latents that are drawn along need one time for all; take schedule 'latents-first'"
            )

    @cached_property
    def token_sampler(self) -> TokenSampler:
        """Of the tokens."""
        return token_part(self)

    @property
    def draw_settings(self) -> DrawSettings:
        """How latents are drawn."""
        return DrawSettings(self.latent_temperature or self.temperature, self.precision, self.eta)

    def steps(self, start: Tensor) -> Iterator[Step]:
        return self.token_sampler.steps(start)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        state = start_state(start, noise, self.source.tokens, self.source.latents)
        return replace(state, memory=self.token_sampler.begin(state))

    def update(self, state: State, step: Step) -> State:
        sampler, latents, x, z = self.token_sampler, self.source.latents, state.tokens, state.latents
        assert z is not None
        draws = state.draws[latents.name].at(step.index)
        latent_step = Step(step.index, step.t**self.latent_lead, step.s**self.latent_lead)
        wanted = sampler.wanted(state, step)
        latents_wanted = latents.process.wanted(z, latent_step, draws) & ~sampler.finished(state)[:, None]
        latents_wanted = latents_wanted & (step.s < step.t)
        rows = wanted.any(dim=1) | latents_wanted.any(dim=1)
        if not rows.any():
            return sampler.move(state, step, wanted, None)
        count = int(rows.sum())
        predicted = self.source.predict(x[rows], z[rows], step.t.expand(count), latent_step.t.expand(count))
        first, second = (each._replace(rows=rows) for each in predicted)
        after = sampler.move(state, step, wanted, first if wanted.any() else None)
        if latents_wanted.any():
            z = latents.process.reverse(z, latents_wanted, second, latent_step, draws, self.draw_settings)
        return replace(after, latents=z, token_passes=state.token_passes + rows)
