"""Samples under the settings of a sweep of one point: what `ladd generate` and the Python interface share.

Shapes: n samples, N tokens, V vocabulary; V itself is the mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ladd.config import Suite, SweepConfig
from ladd.diffusion.noise import SampleNoise, derive
from ladd.samplers.base import Callback, Sampler, Samples, check_unmasked, sample
from ladd.systems.base import System


@dataclass(frozen=True)
class Drawn:
    """Samples as strings and arrays.

    Attributes:
        text: n strings, specials left out; empty where nothing says how to read tokens.
        tokens: int64 (n, N), in [0, V).
        token_passes: int64 (n,), passes that each sample needed of the network that holds the tokens.
        latent_passes: int64 (n,), those of a network of the latents alone.
    """

    text: list[str]
    tokens: np.ndarray
    token_passes: np.ndarray
    latent_passes: np.ndarray

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of(cls, samples: Samples, text: Sequence[str] = ()) -> Drawn:
        """From tensors on any device."""
        return cls(list(text), *(tensor.cpu().numpy() for tensor in samples))


def draw(
    suite: Suite,
    sweep: SweepConfig,
    network: Any,
    starts: Tensor,
    *,
    batch: int | None = None,
    callback: Callback | None = None,
    what: str,
) -> Samples:
    """Samples of a trained model; sample i is sample i of any sweep with these settings and this seed.

    Args:
        sweep: of one step budget and one seed.
        network: trained, with the prior that the sweep names.
        starts: int64 (n, N), V where a token is to be drawn.
        batch: samples at a time, which does not change them; None for that of the suite.
        callback: called with every step and the state after it, of one batch after the other.
        what: is sampled, for the error.
    Raises:
        SamplingError: a sample still holds the mask.
    """
    sampler, noise = sampler_of(suite, sweep, network), noise_of(suite, sweep)
    samples = draw_in_batches(sampler, starts, noise, batch or suite.run.batch, callback)
    check_unmasked(samples.tokens, suite.data[sweep.data].vocabulary, what)
    return samples


def sampler_of(suite: Suite, sweep: SweepConfig, network: Any) -> Sampler:
    """The sampler of a sweep of one step budget, with a trained network as its source."""
    (point,) = sweep.points
    system = System.of(suite, sweep.model, sweep.prior)
    return system.sampler(network, sweep, token_steps=point.token_steps, temperature=point.temperature)


def noise_of(suite: Suite, sweep: SweepConfig) -> int:
    """Seed of the noise of a sweep's only seed, as the stage `sample` has it."""
    (seed,) = sweep.seeds
    return derive(suite.seed, "sample", seed)


def draw_in_batches(
    sampler: Sampler, starts: Tensor, seed: int, batch: int, callback: Callback | None = None
) -> Samples:
    """`ladd.samplers.base.sample_in_batches` with a callback."""
    parts = [
        sample(sampler, starts[rows], SampleNoise(seed, rows), callback)
        for rows in torch.arange(len(starts), device=starts.device).split(batch)
    ]
    return Samples(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))
