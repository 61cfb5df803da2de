"""data@D: draw the sequences of a synthetic data set, or pack text into blocks of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ladd.assets import asset_files, check_pinned
from ladd.config import CorpusConfig, LastDocuments, SawtoothConfig, Suite, TextDataConfig
from ladd.data.sawtooth import draw_sequences
from ladd.data.shards import write_shards
from ladd.errors import ConfigError
from ladd.files import write_json
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.text import TOKENIZER, assets_of, fetch
from ladd.text.documents import read_documents
from ladd.text.packing import pack_corpus
from ladd.text.split import split_documents, split_last
from ladd.text.tokenizer import Tokenizer

SAWTOOTH_SHARD = 65536  # sequences per file


def main(stage: Stage) -> None:
    config = stage.suite.data[stage.key]
    with stage.output(f"artifacts/data/{stage.key}") as folder:
        if isinstance(config, SawtoothConfig):
            draw(stage.suite, config, folder)
        else:
            pack(stage.suite, stage.key, config, folder)


def draw(suite: Suite, config: SawtoothConfig, folder: Path) -> None:
    """Training, validation and reference sequences."""
    for split in ("train", "validation", "reference"):
        sequences = draw_sequences(
            getattr(config, split),
            suite.seed,
            split,
            tokens=config.tokens,
            periods=config.periods,
            floor=config.floor,
        )
        write_shards(folder / split, [sequences], tokens=config.tokens, vocabulary=2, shard=SAWTOOTH_SHARD)


def pack(suite: Suite, key: str, config: TextDataConfig, folder: Path) -> None:
    """The tokenizer, then the blocks of every corpus, with a description of what they are."""
    check_pinned(dict(assets_of(suite)))  # of the whole suite: a later stage should not find out after hours
    tokenizer = make_tokenizer(suite, key, config)
    tokenizer.save(folder / TOKENIZER)
    corpora = {
        "train": split_of(suite, config, validation=False),
        "validation": split_of(suite, config, validation=True),
    }
    corpora |= {f"zero_shot/{name}": documents_of(suite, corpus) for name, corpus in config.zero_shot.items()}
    packed = {
        name: asdict(
            pack_corpus(
                documents,
                tokenizer,
                folder / name,
                tokens=config.tokens,
                packing=config.packing,
                shard=suite.run.shard,
                workers=suite.run.workers,
            )
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
        files = asset_files(fetch(suite, config.tokenizer.asset), config.tokenizer.files)
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
    return read_documents(corpus, asset_files(fetch(suite, corpus.asset), corpus.files))


def split_of(suite: Suite, config: TextDataConfig, *, validation: bool) -> Iterator[str]:
    """Training or validation documents; no document is in both."""
    if isinstance(config.validation, CorpusConfig):
        return documents_of(suite, config.validation if validation else config.train)
    documents = documents_of(suite, config.train)
    if isinstance(config.validation, LastDocuments):
        return split_last(documents, config.validation.last, validation=validation)
    return split_documents(documents, config.validation, suite.seed, validation=validation)


if __name__ == "__main__":
    run_stage("data", main)
