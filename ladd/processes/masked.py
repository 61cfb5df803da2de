"""Masked diffusion on discrete states: tokens, and the codes of Di-LADD (paper, Section 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.errors import SamplingError
from ladd.schedules import MaskedSchedule

LOGITS_AT_A_TIME = 2**25  # of categorical draws: 640 MiB at the peak, of them 512 in float64


def draw_mask(t: Tensor, schedule: MaskedSchedule, uniform: Tensor) -> Tensor:
    """Which positions the forward process has masked at time t (paper, Eq. 43).

    Args:
        t: (B,) in [0, 1].
        schedule: survival probability.
        uniform: (B, N) draws in (0, 1).
    Returns:
        bool (B, N), True where masked.
    """
    return uniform >= schedule.alpha(t)[:, None]


def draw_reveal(masked: Tensor, t: Tensor, s: Tensor, schedule: MaskedSchedule, uniform: Tensor) -> Tensor:
    """Which masked positions the reverse step t -> s reveals (paper, Eq. 44).

    Whether a position is revealed does not depend on what is predicted there, so this comes before the network.

    Args:
        masked: bool (B, N).
        t, s: scalars, 0 <= s < t <= 1.
        schedule: survival probability.
        uniform: (B, N) draws in (0, 1).
    Returns:
        bool (B, N), a subset of ``masked``.
    """
    return masked & (uniform < schedule.reveal_probability(t, s))


def draw_categorical(
    logits: Tensor, uniform: Tensor, *, temperature: float = 1.0, precision: str = "float64"
) -> Tensor:
    """Draws from the distribution of each row, by inversion of its cumulative distribution.

    Float32 cannot resolve the tail of the distribution (and float32 Gumbel noise lowers the temperature),
    so the default is float64. At most `LOGITS_AT_A_TIME` are worked on at a time, which changes no draw.

    Args:
        logits: (M, V), -inf where impossible.
        uniform: (M,) draws in (0, 1), or (M, D) for D draws from each row.
        temperature: divides the logits; > 0.
        precision: "float64" or "float32", of the softmax and of its cumulative sum.
    Returns:
        int64, of the shape of ``uniform``.
    Raises:
        SamplingError: a row is not a distribution (NaN, infinite, or impossible everywhere).
    """
    dtype = {"float64": torch.float64, "float32": torch.float32}[precision]
    parts = parts_of(len(logits), logits.shape[-1])
    pairs = zip(logits.tensor_split(parts), uniform.tensor_split(parts), strict=True)
    drawn = [_invert(rows, u, temperature, dtype) for rows, u in pairs]
    return drawn[0] if parts == 1 else torch.cat(drawn)


def parts_of(rows: int, outputs: int) -> int:
    """Into how many parts rows of so many logits are split to keep within `LOGITS_AT_A_TIME`."""
    return max(1, -(-rows * outputs // LOGITS_AT_A_TIME))


def _invert(logits: Tensor, uniform: Tensor, temperature: float, dtype: torch.dtype) -> Tensor:
    """Draws of some rows, see `draw_categorical`."""
    cumulative = torch.softmax(logits.to(dtype) / temperature, dim=-1).cumsum(dim=-1)
    if not torch.isfinite(cumulative[:, -1]).all():
        raise SamplingError("logits of a categorical draw are NaN, +inf or all -inf: the weights or inputs are broken")
    # Scaling by the last entry keeps rounding in the sum from leaving the range.
    total = cumulative[:, -1:].contiguous()
    threshold = total * (uniform if uniform.ndim == 2 else uniform[:, None]).to(dtype)
    drawn = torch.searchsorted(cumulative, threshold.contiguous(), right=True)
    # A uniform that float32 rounds to 1 takes the last entry that still adds to the sum, never an impossible one.
    return drawn.minimum(torch.searchsorted(cumulative, total)).view(uniform.shape)
