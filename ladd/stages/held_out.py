"""Held-out sequences that likelihoods are measured on, from all over a split, and the documents that they are of."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ladd.config import Suite, TextDataConfig
from ladd.diffusion.noise import derive
from ladd.stages.artifacts import load_tokens
from ladd.stages.text import load_tokenizer
from ladd.text.borders import block_documents


class HeldOut(NamedTuple):
    """Sequences, the same for all models.

    Attributes:
        tokens: int64 (n, N).
        documents: int64 (n,): sequences of one document depend on each other. None where all are independent.
    """

    tokens: Tensor
    documents: Tensor | None

    @property
    def document_count(self) -> int | None:
        """Different documents; None where every sequence is independent."""
        return None if self.documents is None else len(self.documents.unique())


def held_out(suite: Suite, data: str, split: str, count: int, device: torch.device) -> HeldOut:
    """At most ``count`` sequences of a split.

    Text comes in random order from all over the split, as its neighbouring blocks are of one document. Larger sets
    begin with the smaller ones.
    """
    rows, config = load_tokens(data, split, device), suite.data[data]
    if not isinstance(config, TextDataConfig):
        return HeldOut(rows[:count].long(), None)
    order = np.random.default_rng(derive(suite.seed, "held out", split)).permutation(len(rows))
    wanted = torch.from_numpy(order[:count])
    documents = block_documents(rows, wanted, packing=config.packing, eos=load_tokenizer(data).eos)
    return HeldOut(rows[wanted].long(), documents)
