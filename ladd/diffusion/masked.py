"""Masked diffusion on discrete states: tokens, and the codes of Di-LADD (paper, Section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladd.diffusion.heads import draw_behind_head, weighted_cross_entropy
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import DrawSettings, Noised, Prediction, Process, Step
from ladd.diffusion.schedules import DiscreteSchedule
from ladd.diffusion.times import TimeDraw


class MaskedProcess(Process):
    """Positions turn into a mask one by one, and are revealed once.

    Args:
        schedule: alpha(t), the probability that a position is still unmasked.
        vocabulary: V, the number of values; the mask is V itself.
    """

    def __init__(self, schedule: DiscreteSchedule, vocabulary: int):
        self.schedule, self.vocabulary, self.mask_id = schedule, vocabulary, vocabulary

    def prior(self, noise: StreamNoise, *shape: int) -> Tensor:
        samples = noise.noise.samples
        return torch.full((len(samples), *shape), self.mask_id, device=samples.device)

    def draw_mask(self, t: Tensor, noise: StreamNoise, positions: int) -> Tensor:
        """Which positions are masked at times t (B,), bool (B, N) (paper, Eq. 43)."""
        return noise.uniform("mask", positions) >= self.schedule.alpha(t)[:, None]

    def corrupt(self, clean: Tensor, t: Tensor, noise: StreamNoise) -> Noised:
        masked = self.draw_mask(t, noise, clean.shape[1])
        return Noised(torch.where(masked, self.mask_id, clean), masked)

    def time_weight(self, times: TimeDraw, weight: str) -> Tensor:
        """Weight of each sequence's cross-entropy, (B,): ELBO or constant, times the importance weight of its time."""
        return self.schedule.elbo_weight(times.t) * times.weight if weight == "elbo" else times.weight

    def loss(self, prediction: Prediction, clean: Tensor, noised: Noised, times: TimeDraw, weight: str) -> Tensor:
        """Weighted sum over masked positions of -log p(x_0), nats per sequence (paper, Eqs. 6 and 12).

        Revealed positions cost 0 (SUBS). Sequences of weight 0 are there for another stream: no head runs on them.
        """
        assert noised.changed is not None
        of_sequence = self.time_weight(times, weight)
        counted = noised.changed & (of_sequence > 0)[:, None]
        rows = of_sequence[:, None].expand_as(counted)[counted]
        nll = weighted_cross_entropy(prediction.hidden[counted], prediction.head, clean[counted], rows)
        return nll.new_zeros(counted.shape).masked_scatter(counted, nll).sum(dim=1)

    def reveal_probability(self, t: Tensor, s: Tensor) -> Tensor:
        """Probability that a position masked at t is unmasked at s < t (paper, Eq. 44).

        At s = 0 it is 1: a schedule whose alpha(0) falls short of 1 still ends in a complete sequence.
        """
        probability = (self.schedule.alpha(s) - self.schedule.alpha(t)) / (1 - self.schedule.alpha(t))
        return torch.where(s <= 0, torch.ones_like(probability), probability)

    def wanted(self, state: Tensor, step: Step, noise: StreamNoise) -> Tensor:
        """Masked positions that the step reveals.

        The draws have one name in all samplers: models and schedules on one grid then reveal the same positions at the
        same steps, and what differs between them is not the noise.
        """
        uniform = noise.uniform("reveal", state.shape[1])
        return (state == self.mask_id) & (uniform < self.reveal_probability(step.t, step.s))

    def finished(self, state: Tensor) -> Tensor:
        return ~(state == self.mask_id).any(dim=1)

    def reverse(
        self,
        state: Tensor,
        wanted: Tensor,
        prediction: Prediction,
        step: Step,
        noise: StreamNoise,
        settings: DrawSettings,
    ) -> Tensor:
        """Draw values at the revealed positions; the head runs on those alone. Each position is drawn once."""
        return fill(state, wanted, prediction, noise.fixed(state.shape[1]), settings)


def fill(state: Tensor, reveal: Tensor, prediction: Prediction, uniform: Tensor, settings: DrawSettings) -> Tensor:
    """A new state int64 (B, N) with values drawn at the revealed positions, from uniform (B, N) draws in (0, 1)."""
    hidden, head, rows = prediction
    if len(hidden) > 1:
        return state.masked_scatter(reveal, _draw(head, hidden[reveal[rows]], uniform[reveal], settings))
    # One distribution per position, from which every sample draws.
    positions = reveal.any(dim=0)
    values = state.clone()
    values[:, positions] = _draw(head, hidden[0, positions], uniform[:, positions].T, settings).T
    return torch.where(reveal, values, state)


def _draw(head: nn.Module, hidden: Tensor, uniform: Tensor, settings: DrawSettings) -> Tensor:
    return draw_behind_head(head, hidden, uniform, temperature=settings.temperature, precision=settings.precision)
