"""What the latents of a data set look like: code use, or spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

REPORT_ROWS = 65536  # of a data set that its statistics look at


def spread_rows(count: int, most: int = REPORT_ROWS) -> np.ndarray:
    """Rows that stand for ``count`` rows, int64: all, or ``most`` that are evenly spaced."""
    return np.linspace(0, count - 1, min(most, count)).round().astype(np.int64)


def latent_statistics(latents: Tensor, codebook: int | None) -> dict[str, Any]:
    """Statistics of codes int (M, L) with K entries, or of vectors (M, L, w) where codebook is None.

    Returns:
        Codes: how many are used and dead, entropy in nats, perplexity, and the probability of each, in falling order.
        Vectors: mean of the norm, norm of the mean, variance per coordinate (what diffusion has to model: schedules are
        made for 1, and a common mean takes its share of a fixed norm), standard deviation along each principal axis in
        falling order, and the effective dimension, (sum of variances)^2 / (sum of squared variances).
    """
    if codebook is not None:
        counts = torch.bincount(latents.flatten().long(), minlength=codebook).double()
        probabilities = (counts / counts.sum()).sort(descending=True).values
        entropy = float(-torch.special.xlogy(probabilities, probabilities).sum())
        return {
            "used": int((counts > 0).sum()),
            "dead": int((counts == 0).sum()),
            "entropy": entropy,
            "perplexity": float(torch.tensor(entropy).exp()),
            "probabilities": [round(float(p), 6) for p in probabilities],
        }
    vectors = latents.flatten(0, 1).double()
    variances = torch.linalg.eigvalsh(vectors.T.cov().view(vectors.shape[1], -1)).clamp(min=0).flip(0)
    return {
        "norm": float(vectors.norm(dim=1).mean()),
        "mean_norm": float(vectors.mean(dim=0).norm()),
        "variance": float(variances.mean()),
        "effective_dimension": float(variances.sum() ** 2 / variances.square().sum()),
        "axis_std": [round(float(v) ** 0.5, 6) for v in variances],
    }
