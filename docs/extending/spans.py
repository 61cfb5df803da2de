"""A process: masked diffusion in which neighbouring positions are masked and revealed together, in spans.

A process says what noise does to one stream and how it is undone: `prior`, `corrupt`, `loss`, `wanted` and `reverse` of
`ladd.diffusion.process.Process`. Here all but two are those of the masked process: what changes is which positions are
masked at a time, and which of the masked ones a step reveals.

The loss stays right. Spans are masked independently of each other, each by the time t with probability 1 - alpha(t),
as positions are in the masked process; and the network gives the tokens of a span independent distributions, so that
-log p of a span is the sum over its positions. The negative ELBO is that of a masked process whose "tokens" are spans.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import Step
from ladd.diffusion.schedules import DiscreteSchedule


class SpanMasking(MaskedProcess):
    """Spans turn into masks one by one, and are revealed once.

    Args:
        schedule: alpha(t), the probability that a span is still unmasked.
        vocabulary: V; the mask is V itself.
        span: positions of a span, at least 1; the last one is shorter where it does not divide N.
    """

    def __init__(self, schedule: DiscreteSchedule, vocabulary: int, span: int):
        super().__init__(schedule, vocabulary)
        self.span = span

    def draw_mask(self, t: Tensor, noise: StreamNoise, positions: int) -> Tensor:
        """Which positions are masked at times t (B,), bool (B, N)."""
        return self._uniform(noise, "mask", positions) >= self.schedule.alpha(t)[:, None]

    def wanted(self, state: Tensor, step: Step, noise: StreamNoise) -> Tensor:
        """Masked positions, bool (B, N), that the step t -> s reveals."""
        uniform = self._uniform(noise, "reveal", state.shape[1])
        return (state == self.mask_id) & (uniform < self.reveal_probability(step.t, step.s))

    def _uniform(self, noise: StreamNoise, what: str, positions: int) -> Tensor:
        """Uniform draws (B, N) that all positions of a span share."""
        place = torch.arange(positions, device=noise.noise.samples.device) // self.span
        return noise.uniform(what, int(place[-1]) + 1)[:, place]
