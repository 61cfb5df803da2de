"""Sample metrics (paper, Section E.4). Sequences are integer tensors (n, N)."""

from __future__ import annotations

import torch
from torch import Tensor


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int, seed: int, *, chunk: int = 100) -> Tensor:
    """One-dimensional Wasserstein-1 distances along random unit directions (paper, Eqs. 85-88).

    Args:
        a, b: (n, N), equally many.
        directions: number of directions, normalised Gaussian vectors.
        seed: of the directions; the same seed gives the same ones, so that models are compared on equal terms.
        chunk: directions computed at a time.
    Returns:
        float64 (directions,); the sliced distance is their mean.
    Raises:
        ValueError: the shapes differ.
    """
    if a.shape != b.shape:
        raise ValueError(f"both sets must have the same shape, not {tuple(a.shape)} and {tuple(b.shape)}")
    generator = torch.Generator().manual_seed(seed)
    axes = torch.randn(directions, a.shape[1], generator=generator, dtype=torch.float64)
    axes = torch.nn.functional.normalize(axes, dim=1)
    distances = []
    for part in axes.split(chunk):
        projected_a, projected_b = (points.double() @ part.T for points in (a, b))
        distances.append((projected_a.sort(dim=0).values - projected_b.sort(dim=0).values).abs().mean(dim=0))
    return torch.cat(distances)
