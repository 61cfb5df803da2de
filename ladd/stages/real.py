"""Real sequences that samples are compared with, and the tokens of them that samplers are given."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ladd.config import GivenConfig, SawtoothConfig, Suite
from ladd.errors import ConfigError
from ladd.randomness import SampleNoise, derive
from ladd.stages.artifacts import load_tokens


def real_chunk(suite: Suite, data: str, index: int, count: int, device: torch.device) -> Tensor:
    """The index-th disjoint set of ``count`` real sequences, int64 (count, N).

    Text comes from all over the validation split: its neighbouring blocks are of one document.

    Raises:
        ConfigError: there are not so many.
    """
    sawtooth = isinstance(suite.data[data], SawtoothConfig)
    rows = load_tokens(data, "reference" if sawtooth else "validation", device)
    if (index + 1) * count > len(rows):
        raise ConfigError(
            f"evaluation.reference.samples: {count} sequences for the {index + 1}th time, but data.{data} has only "
            f"{len(rows)} real ones; lower the samples or the number of seeds, or hold out more documents"
        )
    order = (
        np.arange(len(rows)) if sawtooth else np.random.default_rng(derive(suite.seed, "real")).permutation(len(rows))
    )
    return rows[torch.from_numpy(order[index * count : (index + 1) * count])].long()


def given_positions(
    suite: Suite, given: GivenConfig, seed: int, count: int, tokens: int, device: torch.device
) -> Tensor:
    """Which positions each sampler is given, bool (count, N): the same number of them on every row."""
    kept = max(1, round(given.share * tokens))
    if given.kind == "prefix":
        return (torch.arange(tokens, device=device) < kept).expand(count, tokens)
    noise = SampleNoise(derive(suite.seed, "given", seed), torch.arange(count, device=device))
    return noise.uniform("position", 0, tokens).argsort(dim=1).argsort(dim=1) < kept
