"""Categorical draws by inversion, behind heads of many outputs."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from ladd.errors import SamplingError

LOGITS_AT_A_TIME = 2**25  # of categorical draws: 640 MiB at the peak, of them 512 in float64


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


def draw_behind_head(
    head: nn.Module, hidden: Tensor, uniform: Tensor, *, temperature: float = 1.0, precision: str = "float64"
) -> Tensor:
    """Draws behind a head from hidden states (M, d), see `draw_categorical`; a large head runs on some at a time."""
    outputs = head.out_features if isinstance(head, nn.Linear) else hidden.shape[-1]
    parts = parts_of(len(hidden), outputs)
    categorical = partial(draw_categorical, temperature=temperature, precision=precision)
    pairs = zip(hidden.tensor_split(parts), uniform.tensor_split(parts), strict=True)
    drawn = [categorical(head(h), u) for h, u in pairs]
    return drawn[0] if parts == 1 else torch.cat(drawn)
