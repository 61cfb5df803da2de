"""What predictor-corrector samplers share: steps of the reverse process, and between them draws anew at one time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from ladd.config.blocks import Count, Weight
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State, time_grid
from ladd.samplers.drawing import gumbel, ranks
from ladd.samplers.tokens import TokenOptions, TokenSampler, placed


class CorrectorOptions(TokenOptions):
    redraw: Count = 1  # positions that a corrector step draws anew, those of the lowest score
    spread: Weight = 1.0  # of the Gumbel noise that is added to scores; a large one chooses at random


@dataclass(frozen=True, kw_only=True)
class Corrector(TokenSampler):
    """Subclasses say how positions are predicted, scored and drawn anew.

    K passes in all: K // 2 + 1 predictor steps, each but the last with a corrector step behind it; of an even K the
    first has none either.
    """

    Options: ClassVar[type[TokenOptions]] = CorrectorOptions
    remasks: ClassVar[bool] = True
    redraw: int
    spread: float

    def steps(self, start: Tensor) -> Iterator[Step]:
        predictors, index = self.token_steps // 2 + 1 if self.token_steps > 1 else 1, 0
        without = 1 - self.token_steps % 2
        for place, step in enumerate(time_grid(predictors, start.device, self.token_lag)):
            yield replace(step, index=index)
            index += 1
            if without <= place < predictors - 1:
                yield Step(index, step.s, step.s)
                index += 1

    def wanted(self, state: State, step: Step) -> Tensor:
        return self.candidates(state) if _corrects(step) else self.predicted(state, step)

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        if prediction is None:
            return state
        if not _corrects(step):
            return self.predict(state, step, wanted, prediction)
        draws = self.draws(state, step)
        tokens, scores = self.drawn_anew(state, step, wanted, prediction, draws.uniform("", wanted.shape[1]))
        scores = placed(wanted, scores, torch.inf) - self.spread * gumbel(draws.uniform("order", wanted.shape[1]))
        chosen = wanted & (ranks(-scores) < self.redraw)
        return replace(state, tokens=torch.where(chosen, placed(wanted, tokens, 0), state.tokens))

    @abstractmethod
    def candidates(self, state: State) -> Tensor:
        """Positions, bool (B, N), that may be drawn anew."""

    @abstractmethod
    def drawn_anew(
        self, state: State, step: Step, where: Tensor, prediction: Prediction, uniform: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (M,) and scores (M,) of what is there now, at candidates."""

    @abstractmethod
    def predicted(self, state: State, step: Step) -> Tensor:
        """Positions, bool (B, N), that a predictor step draws."""

    @abstractmethod
    def predict(self, state: State, step: Step, wanted: Tensor, prediction: Prediction) -> State:
        """The state after a predictor step."""


def _corrects(step: Step) -> bool:
    return bool(step.s == step.t)
