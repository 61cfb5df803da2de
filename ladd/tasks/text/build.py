"""From the assets of a data set to its tokenizer and the blocks of every corpus."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ladd.assets import asset_files, asset_folder, assets_of, check_pinned
from ladd.config import Suite
from ladd.errors import ConfigError
from ladd.files import write_json
from ladd.tasks.text.documents import read_documents
from ladd.tasks.text.packing import pack_corpus
from ladd.tasks.text.settings import CorpusConfig, LastDocuments, TextDataConfig
from ladd.tasks.text.split import split_documents, split_last
from ladd.tasks.text.tokenizer import Tokenizer

TOKENIZER = "tokenizer/tokenizer.json"  # within the artefact of a data set


def build(suite: Suite, key: str, config: TextDataConfig, folder: Path) -> None:
    """The tokenizer, then the blocks of every corpus, with a description of what they are."""
    check_pinned(dict(assets_of(suite)))  # of the whole suite: a later stage should not find out after hours
    tokenizer = make_tokenizer(suite, key, config)
    tokenizer.save(folder / TOKENIZER)
    corpora = {
        "train": split_of(suite, config, validation=False),
        "validation": split_of(suite, config, validation=True),
    }
    corpora |= {f"zero_shot/{name}": documents_of(suite, corpus) for name, corpus in config.zero_shot.items()}
    settings = {"tokens": config.tokens, "packing": config.packing}
    packed = {
        name: asdict(
            pack_corpus(documents, tokenizer, folder / name, **settings, shard=config.shard, workers=config.workers)
        )
        for name, documents in corpora.items()
    }
    if (blocks := packed["train"]["blocks"]) < 2:
        raise ConfigError(
            f"data.{key}.tokens: the training documents fill {blocks} block of {config.tokens} tokens, which has no "
            "spread to learn; lower it, or train on more documents"
        )
    description = {"tokens": config.tokens, "vocabulary": config.vocabulary, "packing": config.packing}
    write_json(folder / "description.json", description | {"tokenizer": tokenizer.file_hash, "corpora": packed})


def make_tokenizer(suite: Suite, key: str, config: TextDataConfig) -> Tokenizer:
    """Train or read the tokenizer.

    Raises:
        ConfigError: its size is not the vocabulary that params.yaml says, or its name is of several files.
    """
    if config.tokenizer.asset is None or config.tokenizer.files is None:  # bpe
        tokenizer = Tokenizer.train(split_of(suite, config, validation=False), config.vocabulary)
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


def documents_of(suite: Suite, corpus: CorpusConfig) -> Iterator[str]:
    """Documents of a corpus, one at a time."""
    return read_documents(corpus, asset_files(asset_folder(corpus.asset, Path(suite.root)), corpus.files))


def split_of(suite: Suite, config: TextDataConfig, *, validation: bool) -> Iterator[str]:
    """Training or validation documents; no document is in both."""
    if isinstance(config.validation, CorpusConfig):
        return documents_of(suite, config.validation if validation else config.train)
    documents = documents_of(suite, config.train)
    if isinstance(config.validation, LastDocuments):
        return split_last(documents, config.validation.last, validation=validation)
    return split_documents(documents, config.validation, suite.seed, validation=validation)
