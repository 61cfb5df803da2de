"""Sliced Wasserstein distance between samples and real sequences (paper, Section E.4, Eqs. 85-88)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from ladd.config.blocks import Block
from ladd.diffusion.noise import derive
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Metric, Samples


class Settings(Block):
    """Of the distance."""

    directions: Annotated[int, Field(ge=2, le=100_000)]


class SlicedWasserstein(Metric):
    """Mean distance along random directions, the same ones for all models of a suite.

    Its standard error is that of the mean over directions. The one over sampling seeds is what models are compared by.
    """

    name = "swd"
    version = "3"
    title = "SWD to real data (sliced Wasserstein distance), in thousandths"
    meaning = (
        "how far samples are from real ones, along random directions; lower is better, two real sets give the floor"
    )
    factor, digits, essential, order = 1000.0, 2, True, 0
    short, axis = "SWD", "sliced Wasserstein distance to real data\n(in thousandths of a token value)"
    real_label, against = "Real data (floor)", ("token_steps", "gmacs_per_sample")
    needs = ("real",)
    Settings: ClassVar[type[Block]] = Settings

    def measure(self, samples: Samples) -> Estimate:
        seed = derive(samples.source.seed, "directions")
        distances = sliced_wasserstein(samples.tokens, samples.real, self.settings.directions, seed)
        return estimate(distances)._replace(n=len(samples))


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
