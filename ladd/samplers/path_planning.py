"""Path planning, P2: in each step the best tokens stay, whether they are old or new (Peng et al., 2025).

A token is drawn at every masked position, and every token, drawn or there, is scored. The best are kept, and as many
masked as the time says. That a network scores tokens that it is shown is asked of networks that were never trained for
it; a network that gives revealed tokens probability 1 never masks them again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from ladd.config.blocks import Weight
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State
from ladd.samplers.drawing import log_probability, ranks
from ladd.samplers.tokens import TokenOptions, TokenSampler, placed


class PathPlanningOptions(TokenOptions):
    # Multiplies the scores of revealed tokens, which are at most 0: above 1 masks more of them again, 0 none.
    remask: Weight = 1.0
    by: Literal["confidence", "random"] = "confidence"  # score: log probability of the token, or of a uniform draw


@dataclass(frozen=True, kw_only=True)
class PathPlanning(TokenSampler):
    """After a step to s, (1 - s) of the drawn tokens are there, rounded up.

    `remask` 0 with scores at random reveals in a random order and masks nothing again.
    """

    citation: ClassVar[str] = """
@misc{peng2025path,
  title = {Path Planning for Masked Diffusion Model Sampling},
  author = {Peng, Fred Zhangzhi and Bezemek, Zachary and Patel, Sawan and Rector-Brooks, Jarrid and
    Yao, Sherwood and Bose, Avishek Joey and Tong, Alexander and Chatterjee, Pranam},
  year = {2025},
  note = {arXiv:2502.03540},
}
"""
    name: ClassVar[str] = "path-planning"
    Options: ClassVar[type[TokenOptions]] = PathPlanningOptions
    remasks: ClassVar[bool] = True
    remask: float
    by: str

    def wanted(self, state: State, step: Step) -> Tensor:
        masked = self.masked(state)
        unfinished = masked.any(dim=1) | (self._kept(state, step) < state.free.sum(dim=1))
        return (masked if self.remask == 0 else state.free) & unfinished[:, None]

    def _kept(self, state: State, step: Step) -> Tensor:
        """How many tokens are there after the step, (B,); rounding must not add one."""
        return (state.free.sum(dim=1) * (1 - step.s) - 1e-9).ceil()

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        if prediction is None:
            return state
        draws, masked, mask_id = self.draws(state, step), self.masked(state), self.process.mask_id

        def score(log_p: Tensor, current: Tensor, drawn: Tensor) -> Tensor:
            return log_probability(log_p, torch.where(current == mask_id, drawn, current))

        drawn = self.scored(state, wanted, prediction, draws.uniform("", wanted.shape[1]), score)
        scores = placed(wanted, drawn.scores, -torch.inf)
        if self.by == "random":
            scores = torch.where(wanted, draws.uniform("order", wanted.shape[1]).log(), scores)
        old = ~masked & state.free
        scores = torch.where(old, torch.inf if self.remask == 0 else self.remask * scores, scores)
        kept = ranks(scores) < self._kept(state, step)[:, None]
        tokens = torch.where(masked & wanted, placed(wanted, drawn.tokens, 0), state.tokens)
        changing = wanted.any(dim=1, keepdim=True) & state.free & ~kept
        return replace(state, tokens=tokens.masked_fill(changing, mask_id))
