"""Draws of tokens at chosen positions, truncated where asked, with a score of each position.

M positions are chosen of B samples with N positions each; V is the vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ladd.diffusion.heads import draw_categorical, parts_of
from ladd.diffusion.process import DrawSettings, Prediction

Law = Callable[[Tensor, Tensor], Tensor]  # log probabilities (m, V) of x_0, current tokens (m,) -> log mass (m, V)
Score = Callable[[Tensor, Tensor, Tensor], Tensor]  # log mass (m, V), current and drawn tokens (m,) -> (m,) or (m, S)


class Truncation(NamedTuple):
    """Which tokens a draw may take.

    Attributes:
        top_p: the smallest set of the likeliest tokens whose probability is at least this; the token that crosses it is
            in the set. 1 keeps all.
        min_p: tokens at least this times as likely as the likeliest (Nguyen et al., 2024). 0 keeps all.
    """

    top_p: float = 1.0
    min_p: float = 0.0

    @property
    def active(self) -> bool:
        return self.top_p < 1 or self.min_p > 0

    def __call__(self, log_p: Tensor) -> Tensor:
        """Log probabilities (m, V), -inf outside of the set; of equal tokens the lower ids come first."""
        if self.min_p > 0:
            least = log_p.amax(dim=-1, keepdim=True) + math.log(self.min_p)
            log_p = log_p.masked_fill(log_p < least, -math.inf)
        if self.top_p < 1:
            # Under both, the mass is that of what min_p left.
            ordered, index = log_p.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)
            outside = ordered.cumsum(dim=-1) - ordered >= self.top_p
            outside[..., 0] = False
            log_p = log_p.masked_fill(torch.zeros_like(outside).scatter(-1, index, outside), -math.inf)
        return log_p


class Drawn(NamedTuple):
    """What was drawn at M positions."""

    tokens: Tensor  # int64 (M,)
    scores: Tensor  # float64 (M,) or (M, S)


def draw_scored(
    prediction: Prediction,
    where: Tensor,
    tokens: Tensor,
    uniform: Tensor,
    settings: DrawSettings,
    *,
    truncation: Truncation | None = None,
    law: Law | None = None,
    score: Score | None = None,
) -> Drawn:
    """Draw a token at every chosen position, and score it; the head runs on a few positions at a time.

    Args:
        prediction: of some samples; every sample with a chosen position is among them.
        where: bool (B, N), M of them.
        tokens: int64 (B, N), current ones.
        uniform: float64 (B, N) in (0, 1).
        settings: temperature, of the prediction, and precision, of the draws.
        truncation: of the prediction, after temperature; it does not change scores where there is no law.
        law: what is drawn from, given the prediction; None for the prediction itself.
        score: of the mass that is drawn from; None for zeros.
    """
    hidden, head, rows = prediction
    of_rows = where if rows is None else where[rows]
    hidden = hidden.expand(len(of_rows), *hidden.shape[1:])[of_rows]
    outputs = getattr(head, "out_features", hidden.shape[-1])
    dtype = {"float64": torch.float64, "float32": torch.float32}[settings.precision]
    drawn, scores = [], []
    columns = hidden, tokens[where], uniform[where]
    for h, x, u in zip(*(each.tensor_split(parts_of(len(hidden), outputs)) for each in columns), strict=True):
        whole = torch.log_softmax(head(h).to(dtype) / settings.temperature, dim=-1)
        mass = truncation(whole) if truncation is not None and truncation.active else whole
        if law is not None:
            mass = whole = law(mass, x)
        drawn.append(draw_categorical(mass, u, precision=settings.precision))
        scores.append(u.new_zeros(u.shape) if score is None else score(whole.double(), x, drawn[-1]))
    return Drawn(torch.cat(drawn), torch.cat(scores))


def log_probability(log_p: Tensor, tokens: Tensor) -> Tensor:
    """Of tokens (m,)."""
    return log_p.gather(-1, tokens[:, None])[:, 0]


def log_margin(log_p: Tensor, tokens: Tensor) -> Tensor:
    """By how much the log probability of tokens (m,) is above that of the likeliest other token."""
    others = log_p.scatter(-1, tokens[:, None], -math.inf)
    return log_probability(log_p, tokens) - others.amax(dim=-1)


def confidence(log_p: Tensor, *_: Tensor) -> Tensor:
    """Log of the largest probability, (m,)."""
    return log_p.amax(dim=-1)


def margin(log_p: Tensor, *_: Tensor) -> Tensor:
    """Difference of the two largest probabilities, (m,)."""
    first, second = log_p.topk(2, dim=-1).values.exp().unbind(dim=-1)
    return first - second


def negative_entropy(log_p: Tensor, *_: Tensor) -> Tensor:
    """Minus the entropy in nats, (m,); an impossible token adds 0."""
    p = log_p.exp()
    return torch.special.xlogy(p, p).sum(dim=-1)


ORDERS: dict[str, Score] = {"confidence": confidence, "margin": margin, "entropy": negative_entropy}


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel noise from uniform draws in (0, 1)."""
    return -(-uniform.log()).log()


def ranks(scores: Tensor) -> Tensor:
    """Place of each position in its row, int64 (B, N), the highest score first, of equal ones the first position."""
    return scores.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
