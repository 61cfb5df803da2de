"""Behind a head of many outputs: cross-entropy, and draws by inversion, without the logits of all rows at once.

At V = 151,670 the logits of 512 rows take 310 MB, and their log-softmax and its gradient as much again. Here a few rows
at a time get logits, loss and gradient, and the logits are dropped. `torch.nn.functional.linear_cross_entropy` does so
too, but not with a weight per row, which the ELBO asks for. Where a head has no more outputs than inputs, there is
nothing to save, and autograd does it all.
"""

from __future__ import annotations

from functools import partial
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ladd.errors import SamplingError

LOGITS_AT_A_TIME = 2**25  # 128 MiB in float32; 640 MiB at the peak of a draw, of them 512 in float64


def weighted_cross_entropy(hidden: Tensor, head: nn.Module, targets: Tensor, weight: Tensor) -> Tensor:
    """weight * -log p(target), row by row.

    Gradients with respect to a head of many outputs and its input are computed with the losses, for a sum over all
    rows: every row must have the same share in what is minimised, apart from its weight.

    Args:
        hidden: (M, d).
        head: (M, d) -> logits (M, V).
        targets: int64 (M,).
        weight: (M,), a constant.
    Returns:
        float32 (or wider) (M,).
    Raises:
        RuntimeError: with a head of many outputs, in the backward pass, where rows have unequal shares, or in a second
            one.
    """
    if not _large(head):
        return F.cross_entropy(_wide(head(hidden)), targets, reduction="none") * weight
    parts = parts_of(len(hidden), head.out_features)
    if torch.is_grad_enabled():
        return _WithGradients.apply(hidden, head.weight, head.bias, targets, weight, parts)
    losses = [
        F.cross_entropy(_wide(head(h)), y, reduction="none")
        for h, y in zip(hidden.tensor_split(parts), targets.tensor_split(parts), strict=True)
    ]
    return torch.cat(losses) * weight


def _large(head: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether logits take more than the hidden states do; a subclass of Linear may do more than multiply."""
    return type(head) is nn.Linear and head.out_features > head.in_features


def _wide(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


class _WithGradients(torch.autograd.Function):
    """The weighted losses, and the gradients of their sum, from one pass over the rows."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, head: Tensor, bias: Tensor, targets: Tensor, weight: Tensor, parts: int
    ) -> Tensor:
        losses, hidden_gradients, bias_gradient = [], [], torch.zeros_like(bias)
        head_gradient: Tensor | None = None
        for h, y, w in zip(*(rows.tensor_split(parts) for rows in (hidden, targets, weight)), strict=True):
            logits = F.linear(h, head, bias)
            # In place from here on, so that there is one (rows, V) tensor: shifted logits, then probabilities, then
            # the gradient of the logits.
            p, y, w = _wide(logits), y[:, None], w[:, None]
            p -= p.amax(dim=1, keepdim=True)
            own = p.gather(1, y)
            total = p.exp_().sum(dim=1, keepdim=True)
            losses.append((w * (total.log() - own))[:, 0])
            w = w.to(p.dtype)
            p *= w / total
            p.scatter_add_(1, y, -w)
            bias_gradient += p.sum(dim=0)
            p = p.to(logits.dtype)
            hidden_gradients.append((p @ head).to(h.dtype))
            if head_gradient is None:
                head_gradient = (p.t() @ h).to(head.dtype)
            elif p.dtype == h.dtype == head.dtype:
                head_gradient.addmm_(p.t(), h)
            else:  # autocast: products in half precision, their sum in that of the weights
                head_gradient += p.t() @ h
            del logits, p  # before the next ones are there
        ctx.gradients = (torch.cat(hidden_gradients), head_gradient, bias_gradient)
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = upstream
        if ctx.gradients is None:
            raise RuntimeError("the gradients of a weighted cross-entropy are used up by one backward pass")
        share = gradient[:1]
        if not torch.allclose(gradient, share.expand_as(gradient), rtol=0, atol=0, equal_nan=True):
            raise RuntimeError("the rows of a weighted cross-entropy must have equal shares: put them in its weight")
        gradients, ctx.gradients = ctx.gradients, None  # scaled in place: these are as large as the head
        # Without a row there is no share, and the gradients are zero already.
        return (*(g.mul_(share[0]) if len(share) else g for g in gradients), None, None, None)


def draw_categorical(
    logits: Tensor, uniform: Tensor, *, temperature: float = 1.0, precision: str = "float64"
) -> Tensor:
    """Draws from the distribution of each row, by inversion of its cumulative distribution.

    Float32 cannot resolve the tail of the distribution (and float32 Gumbel noise lowers the temperature),
    so the default is float64.

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
    cumulative = torch.softmax(logits.to(dtype) / temperature, dim=-1).cumsum(dim=-1)
    if not torch.isfinite(cumulative[:, -1]).all():
        raise SamplingError("logits of a categorical draw are NaN, +inf or all -inf: the weights or inputs are broken")
    # Scaling by the last entry keeps rounding in the sum from leaving the range.
    total = cumulative[:, -1:].contiguous()
    threshold = total * (uniform if uniform.ndim == 2 else uniform[:, None]).to(dtype)
    drawn = torch.searchsorted(cumulative, threshold.contiguous(), right=True)
    # A uniform that float32 rounds to 1 takes the last entry that still adds to the sum, never an impossible one.
    return drawn.minimum(torch.searchsorted(cumulative, total)).view(uniform.shape)


def parts_of(rows: int, outputs: int) -> int:
    """Into how many parts rows of so many logits are split to keep within `LOGITS_AT_A_TIME`."""
    return max(1, -(-rows * outputs // LOGITS_AT_A_TIME))


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
