"""Frozen codebook: codes to vectors and back (paper, Section C.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Codebook(nn.Module):
    """K vectors of equal norm that never move: Stage 2 must not chase its own codes.

    Args:
        size: K, the latent mask excluded.
        width: w.
    """

    vectors: Tensor

    def __init__(self, size: int, width: int):
        super().__init__()
        self.register_buffer("vectors", torch.zeros(size, width))

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors (B, L, w) of codes int64 (B, L)."""
        return self.vectors[codes]

    def nearest(self, z: Tensor) -> Tensor:
        """Codes int64 (B, L) of the entries with the largest cosine similarity to z (B, L, w)."""
        return (F.normalize(z, dim=-1) @ self.vectors.T).argmax(dim=-1)
