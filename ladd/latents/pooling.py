"""From the token states of a frozen encoder to L latent positions (paper, Appendix D).

Shapes: B batch, S encoder tokens (padded), N data tokens, L latent positions, h hidden width of the encoder. A row
without any valid token gives zeros everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor


def adaptive_pool(states: Tensor, valid: Tensor, length: int) -> Tensor:
    """Means over L contiguous chunks of the valid tokens: that of rank r among n goes to bin floor(r L / n).

    With n < L some bins get no token; such a bin repeats the nearest bin before it that has one (bin 0 always has).

    Args:
        states: float (B, S, h).
        valid: bool (B, S); the valid tokens need not be neighbours.
        length: L >= 1.
    Returns:
        (B, L, h).
    """
    rank, count = valid.cumsum(dim=1) - 1, valid.sum(dim=1, keepdim=True)
    bins = rank * length // count.clamp(min=1)
    positions = torch.arange(length, device=states.device)
    members = (bins[:, None] == positions[:, None]) & valid[:, None]  # (B, L, S)
    means = _mean(states, members)
    filled = torch.where(members.any(dim=2), positions, 0).cummax(dim=1).values
    return _take(means, filled)


def adaptive_keep_eos(states: Tensor, valid: Tensor, length: int) -> Tensor:
    """`adaptive_pool` with the last valid token alone as the last latent; the other n - 1 fill L - 1 bins.

    L = 1 keeps that token only. A row with a single valid token repeats it in every bin. Arguments and result as in
    `adaptive_pool`.
    """
    last = valid & (valid.cumsum(dim=1) == valid.sum(dim=1, keepdim=True))
    others = valid & ~last
    final = _mean(states, last[:, None])  # (B, 1, h)
    pooled = adaptive_pool(states, others, length - 1)
    pooled = torch.where(others.any(dim=1)[:, None, None], pooled, final)
    return torch.cat([pooled, final], dim=1)


def align(states: Tensor, valid: Tensor, encoder_spans: Tensor, token_spans: Tensor) -> Tensor:
    """States of the data's tokens, where the encoder cuts the same text into tokens of its own.

    A data token takes the mean, with equal weights, over the encoder tokens that share a character with it. One that
    shares none (a special token, a space that the encoder drops) takes the nearest encoder token of the text before
    it, or the first state of all ([CLS], where the encoder has one) if there is none. Special tokens after the last
    character, except at position 0, take the last state ([SEP], where the encoder has one).

    Args:
        states: float (B, S, h).
        valid: bool (B, S).
        encoder_spans: int64 (B, S, 2), first character and the one after the last; empty for special tokens.
        token_spans: int64 (B, N, 2), the same for the data's tokens.
    Returns:
        (B, N, h).
    """
    start, end = token_spans[:, :, None].unbind(-1)  # (B, N, 1)
    encoder_start, encoder_end = encoder_spans[:, None].unbind(-1)  # (B, 1, S)
    written = valid[:, None] & (encoder_start < encoder_end)
    overlap = written & (torch.maximum(start, encoder_start) < torch.minimum(end, encoder_end))

    index = torch.arange(states.shape[1], device=states.device)
    first = torch.where(valid, index, states.shape[1] - 1).amin(dim=1, keepdim=True)  # (B, 1)
    last = torch.where(valid, index, 0).amax(dim=1, keepdim=True)
    special = start == end
    reached = torch.where(special, end.cummax(dim=1).values, start)  # a special token stands where the text got to
    before = torch.where(written & (encoder_end <= reached), index, -1).amax(dim=2)  # (B, N)
    before = torch.where(before < 0, first, before)
    beyond = special[..., 0].flip(1).cumprod(dim=1).flip(1).bool()  # no text from here on
    beyond[:, 0] = False
    states = torch.where(valid[..., None], states, 0.0)  # a row may have nothing but padding
    fallback = _take(states, torch.where(beyond, last, before))
    return torch.where(overlap.any(dim=2, keepdim=True), _mean(states, overlap), fallback)


def _mean(states: Tensor, members: Tensor) -> Tensor:
    """Means (B, L, h) of states (B, S, h) over the members, bool (B, L, S); 0 where there are none.

    As a product of matrices, because scattered sums are not reproducible on a GPU.
    """
    states = torch.where(members.any(dim=1)[..., None], states, 0.0)  # padding may hold anything, NaN too
    return members.to(states.dtype) @ states / members.sum(dim=2, keepdim=True).clamp(min=1)


def _take(states: Tensor, index: Tensor) -> Tensor:
    """States (B, L, h) at the positions int64 (B, L) of states (B, S, h)."""
    return states.gather(1, index[..., None].expand(-1, -1, states.shape[2]))
