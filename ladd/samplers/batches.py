"""Many samples, some at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ladd.randomness import SampleNoise
from ladd.samplers.steps import Samples, SamplingOptions

# A sampler with its model and schedules filled in.
Sampler = Callable[[Tensor, SampleNoise, SamplingOptions], Samples]


def sample_in_batches(sample: Sampler, start: Tensor, seed: int, options: SamplingOptions, batch: int) -> Samples:
    """Samples from starting tokens int64 (n, N), ``batch`` at a time; the noise of sample i is that of (seed, i)."""
    parts = [
        sample(start[rows], SampleNoise(seed, rows), options)
        for rows in torch.arange(len(start), device=start.device).split(batch)
    ]
    return Samples(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
