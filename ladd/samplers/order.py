"""What samplers share that reveal equal numbers of tokens per step, in an order that the network says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ladd.config.blocks import Weight
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State
from ladd.samplers.drawing import ORDERS, gumbel, ranks
from ladd.samplers.tokens import TokenOptions, TokenSampler, placed


class OrderOptions(TokenOptions):
    # The largest probability (its log), the difference of the two largest, or minus the entropy; after temperature.
    by: Literal["confidence", "margin", "entropy"] = "confidence"
    spread: Weight = 0.0  # of the Gumbel noise that is added


@dataclass(frozen=True, kw_only=True)
class Ordered(TokenSampler):
    """A token that is revealed stays. Subclasses may change the places of positions.

    The order depends on what is revealed alone, so with K >= N, a pass per token, an exact network gives the exact law,
    whatever the order. With fewer steps the surest positions are drawn independently.
    """

    Options: ClassVar[type[TokenOptions]] = OrderOptions
    by: str
    spread: float

    def begin(self, state: State) -> Tensor:
        """How many tokens are drawn, int64 (B,)."""
        return self.masked(state).sum(dim=1)

    def _count(self, state: State, step: Step) -> Tensor:
        """How many tokens the step reveals, (B,)."""
        total = state.memory
        shown = (total * (1 - step.s) - 1e-9).ceil()  # rounding must not add one
        return shown.long() - (total - self.masked(state).sum(dim=1))

    def wanted(self, state: State, step: Step) -> Tensor:
        return self.masked(state) & (self._count(state, step) > 0)[:, None]

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        if prediction is None:
            return state
        draws, positions = self.draws(state, step), wanted.shape[1]
        drawn = self.scored(state, wanted, prediction, draws.fixed(positions), ORDERS[self.by])
        scores = placed(wanted, drawn.scores, -torch.inf)
        if self.spread > 0:
            scores = scores + self.spread * gumbel(draws.uniform("order", positions))
        chosen = wanted & (self.places(scores) < self._count(state, step)[:, None])
        return replace(state, tokens=torch.where(chosen, placed(wanted, drawn.tokens, 0), state.tokens))

    def places(self, scores: Tensor) -> Tensor:
        """Order of the positions, int64 (B, N), those without a score last."""
        return ranks(scores)
