"""A sampler: before a step, revealed tokens are masked again with a probability, so that errors can be put right.

A step from t first goes back in the forward process, to the time t' at which alpha(t') = (1 - remask) alpha(t), and
then from t' to s as ancestral sampling does. Both keep the marginals of the process, so their sequence does too: after
a step to s the share of masks is 1 - alpha(s) on average, whatever `remask` is. More steps make more corrections.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ladd.config import SweepConfig
from ladd.config.blocks import Rate
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import Step
from ladd.errors import SamplingError
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import State


class RemaskingSettings(SweepConfig):
    remask: Rate = 0.1  # probability, in [0, 1), that a token is masked again before a step


@dataclass(frozen=True, kw_only=True)
class Remasking(Ancestral):
    """For masked processes; its fields are what it reads of the settings of a sweep."""

    name: ClassVar[str] = "remasking"
    Settings: ClassVar[type[SweepConfig]] = RemaskingSettings
    remask: float

    def __post_init__(self) -> None:
        if not isinstance(self.source.tokens.process, MaskedProcess):
            raise SamplingError("schedule: 'remasking' is for masked processes; take 'ancestral' for this model")

    def update(self, state: State, step: Step) -> State:
        process, name = self.source.tokens.process, self.source.tokens.name
        # A token that is drawn again must not be drawn with the same random number.
        fresh = StreamNoise(state.draws[name].noise, f"{name}_{step.index}", step.index)
        kept = torch.tensor(1 - self.remask, dtype=torch.float64, device=step.t.device)
        again = process.draw_mask(self.time_of(kept).expand(len(state.tokens)), fresh, state.tokens.shape[1])
        tokens = state.tokens.masked_fill(again & state.free, process.mask_id)
        before = replace(step, t=self.time_of(kept * process.schedule.alpha(step.t)))
        return super().update(replace(state, tokens=tokens, draws={name: fresh}), before)

    def time_of(self, alpha: Tensor) -> Tensor:
        """The time at which the schedule, which falls, has a value; bit by bit."""
        time = torch.zeros_like(alpha)
        for bit in range(1, 60):
            later = time + 2.0**-bit
            time = torch.where(self.source.tokens.process.schedule.alpha(later) > alpha, later, time)
        return time
