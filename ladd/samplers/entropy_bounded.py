"""Entropy-bounded sampling: as many tokens in a pass as are surely nearly independent (Ben-Hamu et al., 2025).

Positions are sorted, the surest first, and the longest beginning is revealed whose entropies, the largest left out, add
up to at most gamma: that sum bounds what the tokens can tell of each other, so it bounds the error of drawing them
independently.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State, time_grid
from ladd.samplers.drawing import ORDERS, negative_entropy
from ladd.samplers.tokens import TokenOptions, TokenSampler, placed


class EntropyBoundedOptions(TokenOptions):
    gamma: Annotated[float, Field(ge=0, le=1e6)] = 0.1  # nats
    by: Literal["confidence", "margin", "entropy"] = "entropy"  # order; see surest-first


@dataclass(frozen=True, kw_only=True)
class EntropyBounded(TokenSampler):
    """Each sample makes as many passes as it needs, at most K; the K-th reveals all that is left.

    gamma = 0 reveals one token at a time, and what is certain besides. A network that is told the time is told the one
    at which as many positions are masked on average.
    """

    citation: ClassVar[str] = """
@misc{benhamu2025accelerated,
  title = {Accelerated Sampling from Masked Diffusion Models via Entropy Bounded Unmasking},
  author = {Ben-Hamu, Heli and Gat, Itai and Severo, Daniel and Nolte, Niklas and Karrer, Brian},
  year = {2025},
  note = {arXiv:2505.24857},
}
"""
    name: ClassVar[str] = "entropy-bounded"
    Options: ClassVar[type[TokenOptions]] = EntropyBoundedOptions
    on_grid: ClassVar[bool] = False
    gamma: float
    by: str

    def steps(self, start: Tensor) -> Iterator[Step]:
        return time_grid(min(self.token_steps, start.shape[1]), start.device)

    def wanted(self, state: State, step: Step) -> Tensor:
        return self.masked(state)

    def times(self, state: State, step: Step, wanted: Tensor) -> Tensor:
        return self.time_of(1 - wanted.double().mean(dim=1))

    def move(self, state: State, step: Step, wanted: Tensor, prediction: Prediction | None) -> State:
        if prediction is None:
            return state

        def score(log_p: Tensor, *tokens: Tensor) -> Tensor:
            return torch.stack([ORDERS[self.by](log_p, *tokens), -negative_entropy(log_p)], dim=-1)

        uniform = self.draws(state, step).fixed(wanted.shape[1])
        drawn = self.scored(state, wanted, prediction, uniform, score)
        order = placed(wanted, drawn.scores[:, 0], -torch.inf).argsort(dim=1, descending=True, stable=True)
        entropy = placed(wanted, drawn.scores[:, 1], 0.0).gather(1, order)
        shared = entropy.cumsum(dim=1) - entropy.cummax(dim=1).values  # grows along a row
        first = (shared <= self.gamma) | (step.s <= 0)
        chosen = wanted & torch.zeros_like(wanted).scatter(1, order, first)
        return replace(state, tokens=torch.where(chosen, placed(wanted, drawn.tokens, 0), state.tokens))
