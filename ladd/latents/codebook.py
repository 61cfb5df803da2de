"""Codebooks: learned by a vector quantiser, then frozen (paper, Section C.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from vector_quantize_pytorch import VectorQuantize


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


def vector_quantiser(size: int, width: int) -> VectorQuantize:
    """Cosine codebook with EMA updates, dead-code revival and straight-through gradients (paper, Appendix E)."""
    # Imported here: it takes two seconds, and only Stage 1 of discrete latents needs it.
    from vector_quantize_pytorch import VectorQuantize

    return VectorQuantize(
        dim=width,
        codebook_size=size,
        use_cosine_sim=True,
        decay=0.95,
        commitment_weight=0.1,
        kmeans_init=True,
        threshold_ema_dead_code=2,
        sync_codebook=False,  # it is given the latents of all workers
    )
