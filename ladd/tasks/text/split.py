"""Training and validation documents of one corpus: a share drawn from all over it, or the last n."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ladd.errors import ConfigError

if TYPE_CHECKING:
    from datasets import Dataset


def split_documents(documents: Dataset, share: float, seed: int, *, validation: bool, scratch: Path) -> Dataset:
    """The validation documents of a corpus, or the others, in order: a function of (seed, place in the corpus).

    Args:
        share: of the documents that are for validation, in (0, 1); see `drawn_places`.
        seed: of the draw.
        validation: which side is wanted.
        scratch: folder for the places of the documents.
    """
    drawn = drawn_places(len(documents), share, seed)
    wanted = drawn if validation else np.setdiff1d(np.arange(len(documents)), drawn, assume_unique=True)
    name = "validation" if validation else "train"
    return documents.select(wanted, indices_cache_file_name=str(scratch / f"{name}-places.arrow"))


def drawn_places(count: int, share: float, seed: int) -> np.ndarray:
    """Places of the validation documents among ``count``, rising.

    The corpus is cut in runs of 1 / share documents, and each run gives one document, drawn by a hash: the share is
    exact to one document and the validation documents come from all over the corpus. A document that the corpus
    repeats can be on both sides.

    Raises:
        ConfigError: the share is out of range.
    """
    if not 0 < share < 1:
        raise ConfigError(f"validation: {share} is not a share between 0 and 1")
    exact = Fraction(share).limit_denominator(1 << 20)
    drawn = []
    for run in range(-(-count * exact.numerator // exact.denominator)):
        start, stop = (-(-place * exact.denominator // exact.numerator) for place in (run, run + 1))
        digest = hashlib.blake2b(f"{seed}/validation/{run}".encode(), digest_size=8).digest()
        drawn.append(start + int.from_bytes(digest, "little") % (stop - start))
    return np.array([place for place in drawn if place < count], dtype=np.int64)


def split_last(documents: Dataset, last: int, *, validation: bool) -> Dataset:
    """The last documents of a corpus, which are for validation, or those before them, in order.

    Raises:
        ConfigError: there are no others, so nothing would be left to train on.
    """
    border = len(documents) - last
    if border < 1:
        raise ConfigError(
            f"validation.last: {last}, but the corpus has {len(documents)} documents; write less than that"
        )
    return documents.select(range(border, len(documents)) if validation else range(border))
