"""ReMDM: remasking, so that tokens can be put right (Wang et al., 2025, arXiv 2503.00307).

Settings `remask` are the paper's eta; `eta` in sweeps is the stochasticity of continuous latents.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor

from ladd.config.blocks import Fraction
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State
from ladd.samplers.drawing import log_probability
from ladd.samplers.remasking import Remasking
from ladd.samplers.tokens import TokenOptions

Inside = Annotated[float, Field(gt=0, lt=1)]


class CapOptions(TokenOptions):
    remask: Fraction = 0.008  # the largest probability that a token is masked again in a step


class RescaleOptions(TokenOptions):
    remask: Fraction = 0.015  # share of the largest possible probability


class ConfOptions(TokenOptions):
    remask: Fraction = 1.0  # share of the largest possible number of tokens that are masked again, which is one


class LoopOptions(TokenOptions):
    remask: Fraction = 0.02  # in a step of the loop
    begins: Inside = 0.55  # time at which the loop begins; times fall
    ends: Inside = 0.05  # time at which it ends
    held: Inside = 0.9  # alpha in the loop

    @model_validator(mode="after")
    def _check_loop(self) -> LoopOptions:
        if self.ends >= self.begins:
            raise ValueError(f"ends {self.ends} must be below begins {self.begins}: times fall from 1 to 0")
        return self


@dataclass(frozen=True, kw_only=True)
class Cap(Remasking):
    """sigma = min(remask, the largest)."""

    name: ClassVar[str] = "remdm-cap"
    Options: ClassVar[type[TokenOptions]] = CapOptions
    remask: float

    def sigma(self, state: State, step: Step) -> Tensor:
        return torch.full_like(step.t, self.remask)


@dataclass(frozen=True, kw_only=True)
class Rescale(Remasking):
    """sigma = remask x the largest."""

    name: ClassVar[str] = "remdm-rescale"
    Options: ClassVar[type[TokenOptions]] = RescaleOptions
    remask: float

    def sigma(self, state: State, step: Step) -> Tensor:
        return self.remask * self.largest(step)


@dataclass(frozen=True, kw_only=True)
class Conf(Remasking):
    """The largest sigma, shared out among revealed tokens: softmax of minus their probability when they were drawn.

    As in the paper, masked positions are revealed as if none were masked again, so that fewer than alpha are revealed,
    by up to `remask` tokens in a step: the marginal is not kept.
    """

    name: ClassVar[str] = "remdm-conf"
    Options: ClassVar[type[TokenOptions]] = ConfOptions
    remask: float

    def begin(self, state: State) -> Tensor:
        """Probability of each token when it was drawn, float64 (B, N); infinite for those that stay."""
        return torch.full_like(state.tokens, torch.inf, dtype=torch.float64)

    def sigma(self, state: State, step: Step) -> Tensor:
        return torch.zeros_like(step.t)

    def of_revealed(self, state: State, step: Step) -> Tensor:
        share = torch.softmax(-state.memory, dim=1).nan_to_num(0.0)  # where no token was drawn
        return self.remask * self.largest(step) * share

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        again, tokens, memory = self.again(state, step), state.tokens, state.memory
        if prediction is not None:
            uniform = self.draws(state, step).uniform("", wanted.shape[1])
            drawn = self.scored(state, wanted, prediction, uniform, lambda log_p, _, x: log_probability(log_p, x))
            tokens = tokens.masked_scatter(wanted, drawn.tokens)
            memory = memory.masked_scatter(wanted, drawn.scores.exp())
        return replace(
            state, tokens=tokens.masked_fill(again, self.process.mask_id), memory=memory.masked_fill(again, torch.inf)
        )


@dataclass(frozen=True, kw_only=True)
class Loop(Remasking):
    """Most of the steps are taken at one alpha: tokens are masked and drawn again there.

    alpha rises to `held` until the time `begins`, stays until `ends`, and rises to 1. The network is told the time at
    which its own schedule has that alpha.
    """

    name: ClassVar[str] = "remdm-loop"
    Options: ClassVar[type[TokenOptions]] = LoopOptions
    remask: float
    begins: float
    ends: float
    held: float

    def steps(self, start: Tensor) -> Iterator[Step]:
        for step in super().steps(start):
            t, s = (self._time(each) for each in (step.t, step.s))
            yield Step(step.index, t, s)

    def _time(self, t: Tensor) -> Tensor:
        rising = (1 - t) * self.held / (1 - self.begins)
        last = 1 - t * (1 - self.held) / self.ends
        alpha = torch.where(t > self.begins, rising, torch.where(t > self.ends, self.held, last))
        return torch.where(t <= 0, 0.0, torch.where(t >= 1, 1.0, self.time_of(alpha)))

    def sigma(self, state: State, step: Step) -> Tensor:
        return self.remask * (step.t - step.s < 1e-9).double()  # equal but for rounding
