"""Joint schedule: tokens and latents step together (paper, Eq. Joint).

The latents' clock may run ahead, t_z = t_x^lead, and the tokens may hold back, t_x = u^(1/lag): a model trained on
independent times leaves both to inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Step
from ladd.samplers.base import Sampler, State, start_state, time_grid
from ladd.samplers.sources import PairSource

LEAST_TIME = 1e-13  # of continuous latents that are not done yet: below, their noise rounds to 0, by which steps divide


@dataclass(frozen=True, kw_only=True)
class Joint(Sampler):
    """Both streams take every step from one pass; within a step neither sees the other's draws.

    Attributes:
        token_steps: K.
        token_lag: bends the tokens' grid, see `time_grid`; at least 1.
        latent_lead: of the latents' clock, at least 1.
        eta: stochasticity of continuous latents, in [0, 1].
    """

    name: ClassVar[str] = "joint"
    meaning: ClassVar[str] = "tokens and latents take each step together"
    takes: ClassVar[type] = PairSource
    latents_at: ClassVar[str] = "shared"

    source: PairSource
    token_steps: int
    token_lag: float = 1.0
    latent_lead: float = 1.0
    eta: float = 0.0

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(self.token_steps, start.device, self.token_lag)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        return start_state(start, noise, self.source.tokens, self.source.latents)

    def update(self, state: State, step: Step) -> State:
        tokens, latents, x, z = self.source.tokens, self.source.latents, state.tokens, state.latents
        assert z is not None
        of_x, of_z = (state.draws[each.name].at(step.index) for each in (tokens, latents))
        latent_step = Step(step.index, step.t**self.latent_lead, step.s**self.latent_lead)
        wanted = tokens.process.wanted(x, step, of_x) & state.free
        going_on = ~tokens.process.finished(x)[:, None]  # latents of finished samples no longer matter
        latents_wanted = latents.process.wanted(z, latent_step, of_z) & going_on
        rows = wanted.any(dim=1) | latents_wanted.any(dim=1)
        if not rows.any():
            return state
        count = int(rows.sum())
        predicted = self.source.predict(x[rows], z[rows], step.t.expand(count), latent_step.t.expand(count))
        first, second = (each._replace(rows=rows) for each in predicted)
        x = tokens.process.reverse(x, wanted, first, step, of_x, self.draw_settings)
        z = latents.process.reverse(z, latents_wanted, second, latent_step, of_z, self.draw_settings)
        return replace(state, tokens=x, latents=z, token_passes=state.token_passes + rows)


def check_lead(sweep: SweepConfig) -> None:
    """Refuse settings that take continuous latents to times where floating point has no noise left.

    Raises:
        ValueError: their last step that counts, at the last time of the grid but one, is there.
    """
    least = min(2 / point.token_steps for point in sweep.points) ** (sweep.latent_lead / sweep.token_lag)
    if least < LEAST_TIME:
        raise ValueError(
            f"latent_lead: {sweep.latent_lead} with token_lag {sweep.token_lag} takes the latents to a time of "
            f"{least:.1e}, where floating point has no noise left; lower latent_lead / token_lag"
        )
