"""From the assets of a data set to its tokenizer and the blocks of every corpus."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ladd.assets import asset_files, asset_folder, assets_of, check_pinned
from ladd.config import Suite
from ladd.errors import ConfigError
from ladd.files import write_json
from ladd.tasks.text.documents import BATCH, read_documents, split_documents, split_last
from ladd.tasks.text.packing import pack_corpus
from ladd.tasks.text.settings import CorpusConfig, LastDocuments, TextDataConfig
from ladd.tasks.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from datasets import Dataset

TOKENIZER = "tokenizer/tokenizer.json"  # within the artefact of a data set


def build_corpora(suite: Suite, key: str, config: TextDataConfig, folder: Path) -> None:
    """The tokenizer, then the blocks of every corpus, with a description of what they are."""
    check_pinned(dict(assets_of(suite)))  # of the whole suite: a later stage should not find out after hours
    scratch = folder / "scratch"
    scratch.mkdir()
    train, validation = training_documents(suite, config, scratch)
    tokenizer = make_tokenizer(suite, key, config, train)
    tokenizer.save(folder / TOKENIZER)
    corpora = {"train": train, "validation": validation}
    corpora |= {
        f"zero_shot/{name}": documents_of(suite, corpus, scratch / name, suite.run.workers)
        for name, corpus in config.zero_shot.items()
    }
    pack = partial(
        pack_corpus,
        tokenizer=tokenizer,
        tokens=config.tokens,
        packing=config.packing,
        shard=suite.run.shard,
        workers=suite.run.workers,
        scratch=scratch,
    )
    packed = {name: asdict(pack(documents, folder=folder / name)) for name, documents in corpora.items()}
    shutil.rmtree(scratch)
    if (blocks := packed["train"]["blocks"]) < 2:
        raise ConfigError(
            f"data.{key}.tokens: the training documents fill {blocks} block of {config.tokens} tokens, which has no "
            "spread to learn; lower it, or train on more documents"
        )
    description = {"tokens": config.tokens, "vocabulary": config.vocabulary, "packing": config.packing}
    write_json(folder / "description.json", description | {"tokenizer": tokenizer.file_hash, "corpora": packed})


def make_tokenizer(suite: Suite, key: str, config: TextDataConfig, train: Dataset) -> Tokenizer:
    """Train or read the tokenizer.

    Raises:
        ConfigError: its size is not the vocabulary that params.yaml says, or its name is of several files.
    """
    if config.tokenizer.asset is None or config.tokenizer.files is None:  # bpe
        tokenizer = Tokenizer.train((text for batch in train.iter(BATCH) for text in batch["text"]), config.vocabulary)
    else:
        files = asset_files(asset_folder(config.tokenizer.asset, Path(suite.root)), config.tokenizer.files)
        if len(files) > 1:
            raise ConfigError(
                f"data.{key}.tokenizer.files: {config.tokenizer.files!r} is of {len(files)} files, the first two "
                f"{files[0]} and {files[1]}; name one"
            )
        tokenizer = Tokenizer.load(files[0])
    if tokenizer.vocabulary != config.vocabulary:
        raise ConfigError(
            f"data.{key}.tokenizer.vocabulary: {config.vocabulary}, but the tokenizer has {tokenizer.vocabulary} ids; "
            "write that number"
        )
    return tokenizer


def documents_of(suite: Suite, corpus: CorpusConfig, scratch: Path, workers: int) -> Dataset:
    """Documents of a corpus."""
    scratch.mkdir(parents=True, exist_ok=True)
    files = asset_files(asset_folder(corpus.asset, Path(suite.root)), corpus.files)
    return read_documents(corpus, files, scratch, workers)


def training_documents(suite: Suite, config: TextDataConfig, scratch: Path) -> tuple[Dataset, Dataset]:
    """Training and validation documents; no document is in both."""
    documents = documents_of(suite, config.train, scratch / "train", suite.run.workers)
    if isinstance(config.validation, CorpusConfig):
        return documents, documents_of(suite, config.validation, scratch / "validation", suite.run.workers)
    if isinstance(config.validation, LastDocuments):
        last = config.validation.last
        return split_last(documents, last, validation=False), split_last(documents, last, validation=True)
    parts = [
        split_documents(documents, config.validation, suite.seed, validation=validation, scratch=scratch)
        for validation in (False, True)
    ]
    return parts[0], parts[1]
