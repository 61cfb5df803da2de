"""Exponential moving average of weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ladd.distributed import local


class WeightAverage:
    """Average of a model's parameters; buffers are copied.

    The decay warms up as (1 + n) / (10 + n) after n updates, so that early averages forget the initial weights.

    Args:
        model: what to average.
        decay: of the average, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float):
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        averages: list[Tensor] = [local(p) for p in self.model.parameters()]
        torch._foreach_lerp_(averages, [local(p.detach()) for p in model.parameters()], 1 - decay)
        for average, current in zip(self.model.buffers(), model.buffers(), strict=True):
            average.copy_(current)
