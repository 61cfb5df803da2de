"""Codebook of Di-LADD on frozen latents: fitted once, then frozen (paper, Section C.2)."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ladd.diffusion.noise import derive
from ladd.errors import ConfigError
from ladd.latents.codebook import Codebook, vector_quantiser
from ladd.latents.statistics import REPORT_ROWS, latent_statistics, spread_rows
from ladd.progress import counted


class Latents(Protocol):
    """Rows of latents, float (M, L, w): a memory-mapped reader or an array."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> Any: ...


def fit_codebook(
    latents: Latents,
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
    length, width = _shape(latents)
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


def codebook_report(
    codebook: Codebook, latents: Latents, *, rows: int = REPORT_ROWS, batch: int = 1024
) -> dict[str, Any]:
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


def _shape(latents: Latents) -> tuple[int, int]:
    """L and w."""
    _, length, width = _read(latents, np.zeros(1, dtype=np.int64)).shape
    return length, width


def _read(latents: Latents, rows: np.ndarray) -> Tensor:
    """Rows as float32 (B, L, w)."""
    return torch.as_tensor(latents[rows]).float()
