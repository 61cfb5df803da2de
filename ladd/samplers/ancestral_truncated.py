"""Ancestral sampling whose draws are truncated by top-p and min-p; without truncation it is `ancestral`, bit by bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State
from ladd.samplers.tokens import TokenSampler


@dataclass(frozen=True, kw_only=True)
class AncestralTruncated(TokenSampler):
    """Steps of the reverse process of masks (paper, Eqs. 44-47)."""

    name: ClassVar[str] = "ancestral-truncated"

    def wanted(self, state: State, step: Step) -> Tensor:
        return self.process.wanted(state.tokens, step, self.draws(state, step)) & state.free

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        uniform = self.draws(state, step).fixed(wanted.shape[1])
        return replace(state, tokens=self.filled(state, wanted, prediction, uniform))
