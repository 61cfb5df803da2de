"""Real sequences that samples are compared with, and the tokens of them that samplers are given."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ladd.config import GivenConfig, SawtoothConfig, Suite
from ladd.data.shards import Rows
from ladd.diffusion.noise import SampleNoise, derive
from ladd.errors import ConfigError
from ladd.stages.artifacts import load_tokens

# What a set of real sequences is for: samples are compared with it; it is compared as samples are, which gives the
# floor; samplers are given tokens of it. A sequence that served two of these would be compared with itself.
Use = Literal["compared", "floor", "given"]
USES: tuple[Use, ...] = get_args(Use)


def real_chunk(suite: Suite, data: str, use: Use, index: int, count: int, device: torch.device) -> Tensor:
    """The real sequences for one use and the index-th seed, int64 (count, N); any two of these sets are disjoint.

    Text comes from all over the validation split: its neighbouring blocks are of one document. Sets are disjoint in
    blocks, not in documents.

    Raises:
        ConfigError: there are not so many.
    """
    sawtooth, rows = isinstance(suite.data[data], SawtoothConfig), _real_rows(suite, data, device)
    place = USES.index(use) * len(suite.evaluation.reference.seeds) + index
    if (place + 1) * count > len(rows):
        raise _too_few(suite, data, (place + 1) * count, len(rows))
    order = (
        np.arange(len(rows)) if sawtooth else np.random.default_rng(derive(suite.seed, "real")).permutation(len(rows))
    )
    return rows[torch.from_numpy(order[place * count : (place + 1) * count])].long()


def check_real(suite: Suite, data: str) -> None:
    """Whether there are sequences enough for all sets that the sweeps and the references of a data set take.

    Raises:
        ConfigError: there are too few.
    """
    reference = suite.evaluation.reference
    given = any(sweep.given is not None for sweep in suite.sweeps.values() if sweep.data == data)
    uses = USES if given else tuple(use for use in USES if use != "given")
    needed = len(uses) * len(reference.seeds) * reference.samples
    if needed > (found := len(_real_rows(suite, data, torch.device("cpu")))):
        raise _too_few(suite, data, needed, found)


def _real_rows(suite: Suite, data: str, device: torch.device) -> Rows:
    return load_tokens(data, "reference" if isinstance(suite.data[data], SawtoothConfig) else "validation", device)


def _too_few(suite: Suite, data: str, needed: int, found: int) -> ConfigError:
    reference = suite.evaluation.reference
    return ConfigError(
        f"evaluation.reference.samples: {reference.samples} samples x {len(reference.seeds)} seeds need {needed} real "
        f"sequences (to compare with, for the floor and, where a sweep is given tokens, to give), but data.{data} has "
        f"only {found}; lower the samples or the number of seeds, or hold out more documents (data.{data}.validation)"
    )


def given_positions(
    suite: Suite, given: GivenConfig, seed: int, count: int, tokens: int, device: torch.device
) -> Tensor:
    """Which positions each sampler is given, bool (count, N): the same number of them on every row."""
    kept = max(1, round(given.share * tokens))
    if given.kind == "prefix":
        return (torch.arange(tokens, device=device) < kept).expand(count, tokens)
    noise = SampleNoise(derive(suite.seed, "given", seed), torch.arange(count, device=device))
    return noise.uniform("position", 0, tokens).argsort(dim=1).argsort(dim=1) < kept
