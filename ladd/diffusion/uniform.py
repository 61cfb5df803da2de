"""Uniform diffusion on tokens: a position turns into a token drawn from all V (Sahoo et al., 2025, "Duo").

Formulas are those of the continuous-time process with prior 1/V; alpha is the probability that a position kept its
token. Unlike under masks, every position changes at any step and every token of a sequence adds to the loss. The
prediction p of a token stands for what the others say of it, p(x_0^l | x_t without x_t^l): the process adds what x_t^l
says, and loss and reverse step are exact for that p alone. Tokens that a sampler is given are kept, but a network takes
them for noisy ones: conditioning on them is approximate, where under masks it is exact.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladd.diffusion.heads import draw_categorical, parts_of
from ladd.diffusion.noise import StreamNoise
from ladd.diffusion.process import DrawSettings, Noised, Prediction, Process, Step
from ladd.diffusion.schedules import DiscreteSchedule
from ladd.diffusion.times import TimeDraw


class UniformProcess(Process):
    """q(x_t | x_0) = alpha(t) onehot(x_0) + (1 - alpha(t)) / V.

    Args:
        schedule: alpha(t).
        vocabulary: V.
    """

    def __init__(self, schedule: DiscreteSchedule, vocabulary: int):
        self.schedule, self.vocabulary = schedule, vocabulary

    def prior(self, noise: StreamNoise, *shape: int) -> Tensor:
        return self._tokens(noise.uniform("start", *shape))

    def corrupt(self, clean: Tensor, t: Tensor, noise: StreamNoise) -> Noised:
        replaced = noise.uniform("mask", *clean.shape[1:]) >= self.schedule.alpha(t)[:, None]
        return Noised(torch.where(replaced, self._tokens(noise.uniform("replacement", *clean.shape[1:])), clean))

    def _tokens(self, uniform: Tensor) -> Tensor:
        return (uniform * self.vocabulary).long()  # draws are below 1 by more than rounding

    def loss(self, prediction: Prediction, clean: Tensor, noised: Noised, times: TimeDraw, weight: str) -> Tensor:
        """Continuous-time negative ELBO at the times, nats per sequence; zero where the clean tokens are predicted.

        Per token, with xb = V alpha onehot(x_0) + 1 - alpha, pb = V alpha p + 1 - alpha and both divided by their value
        at x_t to r and q: -alpha' / (V alpha) sum_j [q_j - r_j + r_j log(r_j / q_j)].
        """
        if weight != "elbo":
            raise ValueError(f"weight {weight!r}: uniform diffusion has the weight 'elbo' alone")
        p = torch.softmax(prediction.head(prediction.hidden).double(), dim=-1)
        alpha = self.schedule.alpha(times.t)[:, None, None]
        kept, place = self.vocabulary * alpha, noised.state[..., None]
        posterior, model = (
            torch.zeros_like(p).scatter_(2, clean[..., None], 1.0) * kept + 1 - alpha,
            p * kept + 1 - alpha,
        )
        r, q = posterior / posterior.gather(2, place), model / model.gather(2, place)
        terms = (q - r + r * (r / q).log()).sum(dim=(1, 2))
        rate = -self.schedule.alpha_derivative(times.t) / (self.vocabulary * self.schedule.alpha(times.t))
        return rate * terms * times.weight

    def wanted(self, state: Tensor, step: Step, noise: StreamNoise) -> Tensor:
        return torch.ones_like(state, dtype=torch.bool)

    def reverse(
        self,
        state: Tensor,
        wanted: Tensor,
        prediction: Prediction,
        step: Step,
        noise: StreamNoise,
        settings: DrawSettings,
    ) -> Tensor:
        hidden, head, rows = prediction
        of_rows = wanted[rows]
        hidden = hidden.expand(len(of_rows), *hidden.shape[1:])[of_rows]
        observed, uniform = state[wanted], noise.uniform("", state.shape[1])[wanted]
        parts = parts_of(len(hidden), self.vocabulary)
        drawn = [
            draw_categorical(self._posterior(h, head, x, step, settings), u, precision=settings.precision)
            for h, x, u in zip(*(each.tensor_split(parts) for each in (hidden, observed, uniform)), strict=True)
        ]
        return state.masked_scatter(wanted, torch.cat(drawn))

    def _posterior(self, hidden: Tensor, head: nn.Module, x: Tensor, step: Step, settings: DrawSettings) -> Tensor:
        return self.posterior(torch.softmax(head(hidden).double() / settings.temperature, dim=-1), x, step).log()

    def posterior(self, p: Tensor, x_t: Tensor, step: Step) -> Tensor:
        """q(x_s | x_t, p) of positions, (M, V): the reverse step given probabilities p (M, V) of x_0 and x_t (M,).

        At s = 0 the clean tokens are drawn, also where alpha(0) falls short of 1.
        """
        a_t = self.schedule.alpha(step.t)
        a_s = torch.where(step.s <= 0, torch.ones_like(a_t), self.schedule.alpha(step.s))
        ratio, observed = a_t / a_s, x_t[:, None]
        mass = (a_s - a_t) * p + (1 - ratio) * (1 - a_s) / self.vocabulary
        p_observed = p.gather(1, observed)
        mass = mass.scatter_add(1, observed, self.vocabulary * a_t * p_observed + ratio - a_t)
        return mass / (self.vocabulary * a_t * p_observed + 1 - a_t)
