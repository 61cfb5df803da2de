"""What samplers draw from: processes, and callables that predict. A system makes one of its trained model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ladd.diffusion.process import Prediction, Process


@dataclass(frozen=True)
class Stream:
    """One stream of what is drawn.

    Attributes:
        process: forward and reverse.
        name: of its draws.
        shape: per sample.
    """

    process: Process
    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class TokenSource:
    """Tokens alone.

    Attributes:
        predict: (x int64 (M, N), t (M,)) -> prediction of the clean tokens.
    """

    tokens: Stream
    predict: Callable[[Tensor, Tensor], Prediction]


@dataclass(frozen=True)
class PriorSource:
    """Latents alone, by a network that never sees tokens.

    Attributes:
        latents: their stream under it.
        predict: (z, t_z) -> prediction.
    """

    latents: Stream
    predict: Callable[[Tensor, Tensor], Prediction]


@dataclass(frozen=True)
class PairSource:
    """Tokens and latents.

    Attributes:
        predict: (x, z, t_x, t_z) of some samples -> predictions of both; the times are (M,).
        prior: that draws the latents where they come first, or None: then `predict` does, from tokens as they are.
    """

    tokens: Stream
    latents: Stream
    predict: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Prediction, Prediction]]
    prior: PriorSource | None = None


@dataclass(frozen=True)
class NextTokenSource:
    """Tokens from left to right.

    Attributes:
        network: (x int64 (M, S) at positions start, ..., cache, start) -> hidden states (M, S, d), with a `token_head`.
        vocabulary: V, which is the start symbol too.
        cache: makes an empty one.
    """

    network: Any
    vocabulary: int
    cache: Callable[[], object]


def share_equal_rows(network: Callable[..., Any], share: bool = True) -> Callable[..., Any]:
    """A network that is given one row in place of equal ones, input by input; it changes no draw.

    At t = 1 all tokens are masked, and samples that were given nothing are the same. What is timed shares no rows:
    every sample then makes the passes that it is charged for.
    """

    def one_if_equal(rows: Tensor | None) -> Tensor | None:
        return rows[:1] if isinstance(rows, torch.Tensor) and (rows == rows[:1]).all() else rows

    return (lambda *inputs: network(*map(one_if_equal, inputs))) if share else network
