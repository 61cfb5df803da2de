"""The straightforward way, which the benchmarks compare with: predict everywhere, then keep what is needed.

Same draws, same schedules, same networks and same samplers as in `ladd`, so that tests can ask for the same samples and
gradients. Heads, softmax and categorical draws run at all N positions (and all L codes) of all samples in every step.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import DrawSettings, Noised, Prediction, Step
from ladd.diffusion.times import TimeDraw
from ladd.systems.base import System
from ladd.training.loop import WeightAverage


def masked_cross_entropy(hidden: Tensor, head: nn.Module, targets: Tensor, masked: Tensor, weight: Tensor) -> Tensor:
    """The loss of `ladd.diffusion.masked`: SUBS as a table of log-probabilities of all positions.

    Public implementations of masked diffusion write it like this: normalise the logits, then let revealed positions
    carry over their token, with log-probability 0 there and -inf elsewhere.
    """
    table = torch.log_softmax(head(hidden), dim=-1)
    carried = torch.full_like(table, -torch.inf).scatter_(-1, targets[..., None], 0.0)
    table = torch.where(masked[..., None], table, carried)
    return -table.gather(-1, targets[..., None])[..., 0].sum(dim=1) * weight


def fused_cross_entropy(hidden: Tensor, head: nn.Module, targets: Tensor, masked: Tensor, weight: Tensor) -> Tensor:
    """The same, as lean as the dense way can be: one fused cross-entropy over all positions."""
    nll = F.cross_entropy(head(hidden).flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    return (nll * masked).sum(dim=1) * weight


@torch.no_grad()
def update_average(average: WeightAverage, model: nn.Module) -> None:
    """As `WeightAverage.update`, parameter by parameter, as public implementations write it."""
    decay = min(average.decay, (1 + average.updates) / (10 + average.updates))
    average.updates += 1
    for mean, current in zip(average.model.parameters(), model.parameters(), strict=True):
        mean.sub_((1 - decay) * (mean - current))
    for buffer, source in zip(average.model.buffers(), model.buffers(), strict=True):
        buffer.copy_(source)


class DenseProcess(MaskedProcess):
    """Masked diffusion whose loss and draws are made at every position.

    Args:
        process: that it stands in for.
        cross_entropy: (hidden, head, targets, masked, weight) -> losses (B,).
    """

    def __init__(self, process: MaskedProcess, cross_entropy: Callable[..., Tensor]):
        super().__init__(process.schedule, process.vocabulary)
        self.cross_entropy = cross_entropy

    def loss(self, prediction: Prediction, clean: Tensor, noised: Noised, times: TimeDraw, weight: str) -> Tensor:
        return self.cross_entropy(*prediction[:2], clean, noised.changed, self.time_weight(times, weight))

    def wanted(self, state: Tensor, step: Step, noise: StreamNoise) -> Tensor:
        return torch.ones_like(state, dtype=torch.bool)

    def finished(self, state: Tensor) -> Tensor:
        return torch.zeros_like(state[:, 0], dtype=torch.bool)

    def reverse(
        self,
        state: Tensor,
        wanted: Tensor,
        prediction: Prediction,
        step: Step,
        noise: StreamNoise,
        settings: DrawSettings,
    ) -> Tensor:
        """Softmax in float64 and inversion of the cumulative sum, at all positions."""
        logits = prediction.head(prediction.hidden).double() / settings.temperature
        cumulative, uniform = torch.softmax(logits, dim=-1).cumsum(dim=-1), noise.fixed(state.shape[1])[..., None]
        drawn = (cumulative <= uniform * cumulative[..., -1:]).sum(dim=-1)
        return torch.where(super().wanted(state, step, noise), drawn, state)


def make_dense(system: System, cross_entropy: Callable[..., Tensor] = masked_cross_entropy) -> System:
    """A copy of the system with dense processes in place of its masked ones."""
    system = copy.deepcopy(system)
    owners = [system, *([system.channel] if hasattr(system, "channel") else [])]
    for owner in owners:
        if isinstance(owner.process, MaskedProcess):
            owner.process = DenseProcess(owner.process, cross_entropy)
    return system
