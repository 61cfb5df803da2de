"""Text of one's own, packed into blocks, measured without any model from elsewhere (docs/your-data.md).

It is the task of ladd/tasks/text without teacher and features: everything that is measured is counted or is the models'
own likelihood, so nothing is fetched. Tokens may be characters, and long documents may be cut into parts.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import Field
from torch import Tensor

from ladd.assets import assets_of, check_pinned
from ladd.config import EvaluationConfig
from ladd.config.blocks import Several
from ladd.errors import ConfigError
from ladd.files import write_json
from ladd.tasks.base import Plain
from ladd.tasks.text import TextTask
from ladd.tasks.text.build import TOKENIZER, documents_of
from ladd.tasks.text.own import Cut, OwnTokenizerConfig, check_vocabulary, cut_documents, own_documents, own_tokenizer
from ladd.tasks.text.packing import pack_corpus
from ladd.tasks.text.settings import TextDataConfig

SMALL = 320  # V of a BPE in a rehearsal, at most


class ProseConfig(TextDataConfig):
    """Documents packed into blocks of N tokens."""

    kind: Literal["prose"]  # type: ignore[assignment]
    tokenizer: OwnTokenizerConfig  # type: ignore[assignment]
    cut: Cut = "none"  # where a document is cut into several: at blank lines, or at every line


class ProseEvaluationConfig(EvaluationConfig):
    """How samples and models of text are measured."""

    kind: Literal["prose"]
    time_draws: Annotated[int, Field(ge=2, le=10_000)]  # per sequence, of the likelihood bounds
    zero_shot_sequences: Several = 500  # at most so many of every other corpus


class Prose(TextTask):
    """Packed text with perplexities, and with distances of samples from real text that need no other model."""

    name = "prose"
    Settings = ProseConfig  # type: ignore[assignment]
    Evaluation = ProseEvaluationConfig  # type: ignore[assignment]

    settings: ProseConfig  # type: ignore[assignment]

    def build(self, folder: Path) -> None:
        """The tokenizer, then the blocks of every corpus.

        Raises:
            ConfigError: the text is too short to train on.
        """
        suite, config = self.suite, self.settings
        check_pinned(dict(assets_of(suite)))
        scratch = folder / "scratch"
        scratch.mkdir(parents=True)
        train, validation = own_documents(suite, config.train, config.validation, config.cut, scratch)
        tokenizer = own_tokenizer(suite, config.tokenizer, train, validation)
        check_vocabulary(self.key, config.tokenizer, tokenizer)
        tokenizer.save(folder / TOKENIZER)
        corpora = {"train": train, "validation": validation}
        for name, corpus in config.zero_shot.items():
            read = documents_of(suite, corpus, scratch / name, suite.run.workers)
            corpora[f"zero_shot/{name}"] = cut_documents(read, config.cut, scratch)
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
                    scratch=scratch,
                )
            )
            for name, documents in corpora.items()
        }
        shutil.rmtree(scratch)
        if (blocks := packed["train"]["blocks"]) < 2:
            raise ConfigError(
                f"data.{self.key}.tokens: the training documents fill {blocks} block of {config.tokens} tokens, which "
                "has no spread to learn; lower it, or train on more documents"
            )
        description = {"tokens": config.tokens, "vocabulary": config.vocabulary, "packing": config.packing}
        write_json(folder / "description.json", description | {"tokenizer": tokenizer.file_hash, "corpora": packed})

    def metric_settings(self) -> Mapping[str, Plain]:
        names = ("gram_distance", "entropy_sequence", "entropy_positional", "distinct_1", "distinct_2", "distinct_3")
        return {name: {} for name in names}

    @property
    def teacher_name(self) -> NoReturn:
        raise self._lacks("teacher")

    @property
    def features_name(self) -> NoReturn:
        raise self._lacks("features")

    def scores(self, texts: list[str]) -> NoReturn:
        raise self._lacks("teacher")

    def features(self, x: Tensor) -> NoReturn:
        raise self._lacks("features")

    @classmethod
    def small(cls, data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
        if data["tokenizer"]["kind"] == "bpe":
            data["tokenizer"]["vocabulary"] = min(data["tokenizer"]["vocabulary"], SMALL)

    @classmethod
    def stand_ins(cls, data: Plain, evaluation: Plain, offline: Plain) -> Iterable[tuple[str, Plain, Plain]]:
        return ()
