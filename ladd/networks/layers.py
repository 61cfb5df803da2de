"""Parts shared by all backbones.

Shapes: B batch, S positions of one stream, H heads, D head width, d hidden width, C conditioning width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
