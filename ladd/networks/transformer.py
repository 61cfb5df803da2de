"""A stack of blocks over one or several streams: one stream is a DiT, two are an MM-DiT.

Each stream (modality) has its own norms, QKV, output projection, MLP and adaLN-Zero; one full attention runs
over the concatenation of all streams (paper, Appendix D; Esser et al., 2024).
Shapes: B batch, S positions of one stream, H heads, D head width, d hidden width, C conditioning width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class KeyValueCache:
    """Keys and values of the positions already seen, one pair per block, for causal decoding."""

    def __init__(self) -> None:
        self.pairs: dict[int, tuple[Tensor, Tensor]] = {}

    def extend(self, block: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Append k and v (B, H, S, D) of the new positions and return those of all positions."""
        if block in self.pairs:
            past_k, past_v = self.pairs[block]
            k, v = torch.cat([past_k, k], dim=2), torch.cat([past_v, v], dim=2)
        self.pairs[block] = (k, v)
        return k, v


class Stream(nn.Module):
    """The part of a block that belongs to one modality."""

    def __init__(self, width: int, heads: int, condition: int, dropout: float, gate: float):
        super().__init__()
        self.width, self.heads = width, heads
        self.modulation = zero_linear(condition, 6 * width)
        with torch.no_grad():
            _, _, attention_gate, _, _, mlp_gate = self.modulation.bias.chunk(6)
            attention_gate.fill_(gate)
            mlp_gate.fill_(gate)
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def matrices(self) -> list[nn.Linear]:
        """Layers that multiply hidden states."""
        return [self.qkv, self.output, *(layer for layer in self.mlp if isinstance(layer, nn.Linear))]

    def project(
        self, h: Tensor, modulation: tuple[Tensor, ...], rotary: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, H, S, D), of h (B, S, d)."""
        qkv = self.qkv(modulate(F.layer_norm(h, (self.width,)), modulation[0], modulation[1]))
        qkv = qkv.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = rotate(qkv[:2], rotary).unbind(0)
        return q, k, qkv[2]

    def update(self, h: Tensor, modulation: tuple[Tensor, ...], attended: Tensor) -> Tensor:
        """Residual updates of h (B, S, d) by the attention result (B, S, d) and by the MLP."""
        _, _, attention_gate, shift, scale, mlp_gate = modulation
        h = torch.addcmul(h, attention_gate, self.dropout(self.output(attended)))
        return torch.addcmul(
            h, mlp_gate, self.dropout(self.mlp(modulate(F.layer_norm(h, (self.width,)), shift, scale)))
        )


class Block(nn.Module):
    """One layer: every stream projects, all attend to all, every stream updates."""

    def __init__(self, streams: int, width: int, heads: int, condition: int, dropout: float, gate: float, causal: bool):
        super().__init__()
        self.streams = nn.ModuleList(Stream(width, heads, condition, dropout, gate) for _ in range(streams))
        self.causal = causal

    def forward(
        self,
        hidden: list[Tensor],
        conditions: list[Tensor],
        rotary: list[tuple[Tensor, Tensor]],
        cache: KeyValueCache | None = None,
        index: int = 0,
    ) -> list[Tensor]:
        streams = cast("Sequence[Stream]", self.streams)  # torch types the elements of a ModuleList as Module
        modulations = [
            stream.modulation(F.silu(c))[:, None].chunk(6, dim=-1)
            for stream, c in zip(streams, conditions, strict=True)
        ]
        projected = [
            stream.project(h, m, r) for stream, h, m, r in zip(streams, hidden, modulations, rotary, strict=True)
        ]
        q, k, v = (_concatenate(parts) for parts in zip(*projected, strict=True))
        if cache is not None:
            k, v = cache.extend(index, k, v)
        new, seen = q.shape[2], k.shape[2]
        causal, mask = self.causal and new > 1, None
        if causal and seen > new:
            # `is_causal` puts the first query beside the first key; behind a cache it stands after the past.
            causal, mask = False, torch.ones(new, seen, dtype=torch.bool, device=q.device).tril(seen - new)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        attended = attended.transpose(1, 2).flatten(2)
        split = attended.split([h.shape[1] for h in hidden], dim=1)
        return [stream.update(h, m, a) for stream, h, m, a in zip(streams, hidden, modulations, split, strict=True)]


def _concatenate(parts: Sequence[Tensor]) -> Tensor:
    """Streams (B or 1, H, S, D) one behind the other; a stream that all samples share has one row."""
    if len(parts) == 1:
        return parts[0]  # `cat` would copy it
    batch = max(len(part) for part in parts)
    # `expand` costs a call in both passes, even where it changes nothing.
    return torch.cat([p if len(p) == batch else p.expand(batch, -1, -1, -1) for p in parts], dim=2)


class Transformer(nn.Module):
    """Blocks and final norms over ``streams`` modalities.

    Args:
        width: d.
        heads: attention heads; must divide d.
        condition: C.
        dropout: rate, on the attention output and the MLP output of every block.
        gate: residual gates before training. 0 is adaLN-Zero; a stream without time conditioning moves its gates by
            their bias alone, and from 0 it stays at the unigram law of text for hundreds of steps: there 1 is better.
        rope_base: of the wavelengths of RoPE, 2 pi to 2 pi base positions; 10,000 is usual, short sequences want less.
        causal: mask the attention (one stream only).
    Attributes:
        recompute: in training, keep the input of each block alone and compute the rest again in the backward pass.
    """

    def __init__(
        self,
        streams: int,
        *,
        width: int,
        layers: int,
        heads: int,
        condition: int,
        dropout: float,
        gate: float = 0.0,
        rope_base: float = 1e4,
        causal: bool = False,
    ):
        super().__init__()
        self.head_width, self.rope_base, self.recompute = width // heads, rope_base, False
        self.blocks = nn.ModuleList(
            Block(streams, width, heads, condition, dropout, gate, causal) for _ in range(layers)
        )
        self.norms = nn.ModuleList(FinalNorm(width, condition) for _ in range(streams))

    def forward(
        self,
        hidden: Sequence[Tensor],
        conditions: Sequence[Tensor],
        positions: Sequence[Tensor],
        cache: KeyValueCache | None = None,
    ) -> list[Tensor]:
        """Hidden states of every stream.

        Args:
            hidden: embeddings (B, S, d), or (1, S, d) where all samples share them, one per stream.
            conditions: (B, C), or (1, C) where all samples share it, one per stream.
            positions: (S,) float, one per stream.
            cache: for causal decoding; hidden then holds the new positions only.
        """
        states, conditions = list(hidden), list(conditions)
        rotary = [rotary_embedding(p, self.head_width, self.rope_base) for p in positions]
        for index, block in enumerate(self.blocks):
            if self.recompute and torch.is_grad_enabled():
                states = checkpoint(block, states, conditions, rotary, use_reentrant=False)
            else:
                states = block(states, conditions, rotary, cache, index)
        return [norm(h, c) for norm, h, c in zip(self.norms, states, conditions, strict=True)]


class TimeEmbedding(nn.Module):
    """Sinusoidal features of t in [0, 1], then an MLP: (B,) -> (B, C)."""

    frequencies: Tensor

    def __init__(self, condition: int, features: int = 64):
        super().__init__()
        self.register_buffer("frequencies", torch.exp(-math.log(1e4) * torch.arange(features // 2) / (features // 2)))
        self.mlp = nn.Sequential(nn.Linear(features, condition), nn.SiLU(), nn.Linear(condition, condition))

    def forward(self, t: Tensor) -> Tensor:
        angles = 1000.0 * t[:, None].float() * self.frequencies
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))


def rotary_embedding(positions: Tensor, head_width: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE (Su et al., 2021): positions (S,) -> two of (S, D). Positions may be fractional."""
    frequencies = base ** (-torch.arange(0, head_width, 2, device=positions.device) / head_width)
    angles = positions[:, None] * frequencies
    # The sign of the half-swap in `rotate` is folded into the sines.
    return torch.cat([angles.cos()] * 2, dim=-1), torch.cat([-angles.sin(), angles.sin()], dim=-1)


def rotate(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Apply RoPE to queries or keys: x (..., S, D)."""
    cos, sin = rotary
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """adaLN: x (B, S, d), shift and scale (B or 1, 1, d)."""
    return torch.addcmul(shift, x, 1 + scale)


class FinalNorm(nn.Module):
    """Last adaLN before a head: (B, S, d), condition (B or 1, C) -> (B, S, d)."""

    def __init__(self, width: int, condition: int):
        super().__init__()
        self.width = width
        self.modulation = zero_linear(condition, 2 * width)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        shift, scale = self.modulation(F.silu(condition))[:, None].chunk(2, dim=-1)
        return modulate(F.layer_norm(h, (self.width,)), shift, scale)


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear map that starts at zero (adaLN-Zero; Peebles & Xie, 2023)."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
