"""First-hitting sampling: tokens are revealed one at a time, at the times of the reverse process (Zheng et al., 2024).

The process reveals each position independently of the others, at a level 1 - alpha(t) that is uniform in (0, 1). Drawn
as one level per position, in falling order, the levels have the law that the paper's rule t <- t u^(1/n), n positions
being masked, gives one after the other. With a pass for each, this is ancestral sampling with infinitely many steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State, time_grid
from ladd.samplers.drawing import ranks
from ladd.samplers.tokens import TokenSampler


class Hits(NamedTuple):
    """When positions are revealed."""

    group: Tensor  # int64 (B, N), number of the step; as many as there are steps where never
    time: Tensor  # float64 (B, N)


@dataclass(frozen=True, kw_only=True)
class FirstHitting(TokenSampler):
    """Exact for K >= N, with a pass for every token that is drawn.

    With K < N the order is the same, and the tokens of K equal groups are drawn from one pass each, at the time of the
    group's first.
    """

    citation: ClassVar[str] = """
@inproceedings{zheng2025secretly,
  title = {Masked Diffusion Models are Secretly Time-Agnostic Masked Models and Exploit Inaccurate Categorical
    Sampling},
  author = {Zheng, Kaiwen and Chen, Yongxin and Mao, Hanzi and Liu, Ming-Yu and Zhu, Jun and Zhang, Qinsheng},
  booktitle = {International Conference on Learning Representations},
  year = {2025},
  note = {arXiv:2409.02908},
}
"""
    name: ClassVar[str] = "first-hitting"
    on_grid: ClassVar[bool] = False

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(self._groups(start), start.device)

    def _groups(self, tokens: Tensor) -> int:
        return min(self.token_steps, tokens.shape[1])

    def begin(self, state: State) -> Hits:
        masked, groups = self.masked(state), self._groups(state.tokens)
        level = state.draws[self.source.tokens.name].uniform("reveal", masked.shape[1])
        count = masked.sum(dim=1, keepdim=True).clamp(min=1)
        # A sample with fewer tokens than there are steps leaves some of them out.
        group = ranks(level.masked_fill(~masked, -1.0)) * groups // count
        return Hits(group.masked_fill(~masked, groups), self.time_of(1 - level))

    def wanted(self, state: State, step: Step) -> Tensor:
        return state.memory.group == step.index

    def times(self, state: State, step: Step, wanted: Tensor) -> Tensor:
        return torch.where(wanted, state.memory.time, 0.0).amax(dim=1)

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        uniform = self.draws(state, step).fixed(wanted.shape[1])
        return replace(state, tokens=self.filled(state, wanted, prediction, uniform))
