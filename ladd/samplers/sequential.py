"""Sequential schedule: latents first, then tokens given the clean latents (paper, Eq. Seq.)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Step
from ladd.samplers.base import Sampler, State, reverse_tokens, start_state, time_grid
from ladd.samplers.sources import PairSource, Stream


@dataclass(frozen=True, kw_only=True)
class Sequential(Sampler):
    """First the latents while the tokens stay as they are, then the tokens while the latents do.

    A latent pass of the network that holds the tokens is counted as one; a prior of the latents is counted apart.

    Attributes:
        token_steps: K.
        latent_steps: T_z, before the tokens.
        token_lag: bends the tokens' grid, see `time_grid`; at least 1.
        eta: stochasticity of continuous latents, in [0, 1].
    """

    name: ClassVar[str] = "sequential"
    meaning: ClassVar[str] = "the latents are drawn first, then the tokens given them"
    takes: ClassVar[type] = PairSource
    line: ClassVar[Any] = (0, (4, 1.8))
    markers: ClassVar[str] = "sdpv*h"

    source: PairSource
    token_steps: int
    latent_steps: int
    token_lag: float = 1.0
    eta: float = 0.0

    @classmethod
    def check(cls, sweep: SweepConfig) -> None:
        super().check(sweep)
        if sweep.latent_steps < 1:
            raise ValueError(f"latent_steps {sweep.latent_steps}: schedule {sweep.schedule!r} needs at least 1")

    def steps(self, start: Tensor) -> Iterator[Step]:
        """Those of the latents, and then those of the tokens."""
        yield from time_grid(self.latent_steps, start.device)
        yield from time_grid(self.token_steps, start.device, self.token_lag)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        return replace(start_state(start, noise, self.source.tokens, self._latents), memory=self.latent_steps)

    @property
    def _latents(self) -> Stream:
        return self.source.latents if self.source.prior is None else self.source.prior.latents

    def update(self, state: State, step: Step) -> State:
        if state.memory:  # latent steps that are left
            return replace(self._latent_step(state, step), memory=state.memory - 1)
        z = state.latents
        assert z is not None
        return reverse_tokens(
            self,
            state,
            step,
            self.source.tokens,
            lambda rows, t: self.source.predict(state.tokens[rows], z[rows], t, torch.zeros_like(t))[0],
        )

    def _latent_step(self, state: State, step: Step) -> State:
        source, latents, x, z = self.source, self._latents, state.tokens, state.latents
        assert z is not None
        draws = state.draws[latents.name].at(step.index)
        wanted = latents.process.wanted(z, step, draws)
        rows = wanted.any(dim=1)
        if not rows.any():
            return state
        t = step.t.expand(int(rows.sum()))
        if source.prior is not None:
            predicted, counted = source.prior.predict(z[rows], t), "latent_passes"
        else:
            predicted, counted = source.predict(x[rows], z[rows], torch.ones_like(t), t)[1], "token_passes"
        z = latents.process.reverse(z, wanted, predicted._replace(rows=rows), step, draws, self.draw_settings)
        return replace(state, latents=z, **{counted: getattr(state, counted) + rows})
