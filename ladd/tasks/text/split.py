"""Training and validation documents of one corpus: a share drawn from all over it, or the last n."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction

from ladd.errors import ConfigError


def split_documents(documents: Iterable[str], share: float, seed: int, *, validation: bool) -> Iterator[str]:
    """The validation documents of a corpus, or the others, in order: a function of (seed, place in the corpus).

    The corpus is cut in runs of 1 / share documents, and each run gives one document, drawn by a hash: the share is
    exact to one document and the validation documents come from all over the corpus. A document that the corpus
    repeats can be on both sides.

    Args:
        share: of the documents that are for validation, in (0, 1).
        seed: of the draw.
        validation: which side is wanted.
    Raises:
        ConfigError: the share is out of range.
    """
    if not 0 < share < 1:
        raise ConfigError(f"validation: {share} is not a share between 0 and 1")
    exact = Fraction(share).limit_denominator(1 << 20)
    for index, document in enumerate(documents):
        run = index * exact.numerator // exact.denominator
        start, stop = (-(-place * exact.denominator // exact.numerator) for place in (run, run + 1))
        digest = hashlib.blake2b(f"{seed}/validation/{run}".encode(), digest_size=8).digest()
        drawn = start + int.from_bytes(digest, "little") % (stop - start)
        if (index == drawn) == validation:
            yield document


def split_last(documents: Iterable[str], last: int, *, validation: bool) -> Iterator[str]:
    """The last documents of a corpus, which are for validation, or those before them, in order.

    It holds that many documents in memory: under 1 GB for 100,000 of OpenWebText.

    Args:
        last: number of documents for validation, at least 1.
        validation: which side is wanted.
    Raises:
        ConfigError: there are no others, so nothing would be left to train on.
    """
    held: deque[str] = deque()
    others = False
    for document in documents:
        held.append(document)
        if len(held) > last:
            others, first = True, held.popleft()
            if not validation:
                yield first
    if not others:
        raise ConfigError(f"validation.last: {last}, but the corpus has {len(held)} documents; write less than that")
    if validation:
        yield from held
