"""Codebooks: learned by a vector quantiser, then frozen (paper, Section C.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ladd.data.shards import Rows
from ladd.diffusion.noise import derive
from ladd.errors import ConfigError
from ladd.latents.statistics import REPORT_ROWS, latent_statistics, spread_rows
from ladd.progress import counted

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


def fit_codebook(
    latents: Rows,
    *,
    codebook: int,
    steps: int,
    batch: int,
    seed: int,
    scale: float = 1.0,
    device: torch.device | str = "cpu",
) -> Codebook:
    """Vector quantiser trained on batches of rows that are drawn by (seed, step), with replacement.

    The quantiser is that of a learned encoder (cosine similarity, k-means on the first batch, moving averages, dead
    codes revived); the latents do not move, so there is no commitment. The first step, with k-means, runs on the CPU
    even where the others do not. Same seed and machine, same bits; the global random state is left as it was.

    Args:
        latents: rows (M, L, w), normalised or not: only their directions count.
        codebook: K.
        steps: at least 1.
        batch: rows per step, so that a step sees batch x L latents.
        seed: of the batches, of k-means and of the revived codes.
        scale: norm of the vectors returned.
        device: of the steps after the first.
    Raises:
        ConfigError: fewer than 2 latents per code and step. Codes used less than twice per step count as dead, and
            k-means needs a latent per code; 8 or more per code are advised.
    """
    length, width = latents.shape[1:]
    quantiser = vector_quantiser(codebook, width).train()
    if batch * length < quantiser._codebook.threshold_ema_dead_code * codebook:
        raise ConfigError(
            f"batch: {batch} rows of {length} latents are too few for {codebook} codes, all of which would be revived "
            f"for ever; set it to {-(-8 * codebook // length)} or lower the codebook"
        )
    device = torch.device(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), torch.no_grad():
        torch.manual_seed(derive(seed, "codebook"))
        for step in counted(range(steps), "codebook", "step"):
            rows = np.random.default_rng(derive(seed, "codebook", step)).integers(len(latents), size=batch)
            quantiser(_read(latents, np.sort(rows)).view(1, -1, width).to("cpu" if step == 0 else device))
            if step == 0:
                quantiser.to(device)
    frozen = Codebook(codebook, width)
    frozen.vectors.copy_(quantiser.codebook.cpu() * scale)
    return frozen


def codebook_report(codebook: Codebook, latents: Rows, *, rows: int = REPORT_ROWS, batch: int = 1024) -> dict[str, Any]:
    """How a codebook serves the latents it was fitted on.

    Args:
        codebook: K vectors.
        latents: rows (M, L, w).
        rows: at most so many, evenly spaced over the M.
        batch: rows at a time.
    Returns:
        `latent_statistics` of the codes (used, dead, entropy in nats, perplexity, probabilities), ``cosine``, the mean
        cosine similarity of the latents with their code vectors, and ``latents``, how many were looked at.
    """
    chosen = spread_rows(len(latents), rows)
    codes, cosines = [], []
    for start in counted(range(0, len(chosen), batch), "codebook report", "batch"):
        z = _read(latents, chosen[start : start + batch]).to(codebook.vectors.device)
        codes.append(codebook.nearest(z))
        cosines.append(F.cosine_similarity(z, codebook.lookup(codes[-1]), dim=-1).double())
    cosine = torch.cat(cosines)
    statistics = latent_statistics(torch.cat(codes), len(codebook.vectors))
    return {**statistics, "cosine": float(cosine.mean()), "latents": cosine.numel()}


def _read(latents: Rows, rows: np.ndarray) -> Tensor:
    """Rows as float32 (B, L, w)."""
    return torch.as_tensor(latents[rows]).float()
