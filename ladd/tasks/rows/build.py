"""From documents to padded rows of token ids."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ladd.assets import assets_of, check_pinned
from ladd.config import Suite
from ladd.data.shards import write_shards
from ladd.errors import ConfigError
from ladd.files import write_json
from ladd.tasks.rows.settings import RowsConfig
from ladd.tasks.text.build import TOKENIZER
from ladd.tasks.text.own import check_vocabulary, own_documents, own_tokenizer
from ladd.tasks.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from datasets import Dataset

AT_A_TIME = 4096  # strings that are encoded


@dataclass
class Tally:
    """What became of the strings of a split."""

    strings: int = 0  # that were read
    longest: int = 0  # tokens
    dropped: int = 0  # as they are too long


def build_rows(suite: Suite, key: str, config: RowsConfig, folder: Path) -> None:
    """The tokenizer, and the rows of training and validation strings.

    Raises:
        ConfigError: strings are longer than N, and that was not allowed; or fewer than two are left to train on.
    """
    check_pinned(dict(assets_of(suite)))
    scratch = folder / "scratch"
    scratch.mkdir(parents=True)
    train, validation = own_documents(suite, config.train, config.validation, "none", scratch)
    tokenizer = own_tokenizer(suite, config.tokenizer, train, validation)
    check_vocabulary(key, config.tokenizer, tokenizer)
    tokenizer.save(folder / TOKENIZER)
    description = {"tokens": config.tokens, "vocabulary": config.vocabulary, "tokenizer": tokenizer.file_hash}
    for split, documents in (("train", train), ("validation", validation)):
        tally = Tally()
        rows = encoded_rows(documents, tokenizer, config.tokens, tally)
        written = write_shards(
            folder / split, rows, tokens=config.tokens, vocabulary=config.vocabulary, shard=suite.run.shard
        )
        if tally.dropped and config.longer == "error":
            raise ConfigError(
                f"data.{key}.tokens: {config.tokens}, but {tally.dropped} of {tally.strings} strings are longer, up to "
                f"{tally.longest} tokens; raise it, or leave them out (data.{key}.longer: drop)"
            )
        if written < 2:
            raise ConfigError(f"data.{key}: {written} string for {split}; give more strings, or raise tokens")
        description[split] = vars(tally)
    shutil.rmtree(scratch)
    write_json(folder / "description.json", description)


def encoded_rows(documents: Dataset, tokenizer: Tokenizer, tokens: int, tally: Tally) -> Iterator[np.ndarray]:
    """Padded rows of the strings that fit, int32 (any number, N); the others are counted."""
    for batch in documents.iter(AT_A_TIME):
        ids = tokenizer.encode(batch["text"])
        tally.strings += len(ids)
        tally.longest = max(tally.longest, *map(len, ids))
        kept = [each for each in ids if 0 < len(each) <= tokens]
        tally.dropped += len(ids) - len(kept)
        yield padded(kept, tokens, tokenizer.eos)


def padded(rows: Sequence[np.ndarray | list[int]], tokens: int, pad: int) -> np.ndarray:
    """Rows of at most N ids in an array int32 (n, N), padded behind."""
    x = np.full((len(rows), tokens), pad, np.int32)
    for place, row in enumerate(rows):
        x[place, : len(row)] = row
    return x
