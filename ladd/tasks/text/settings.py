"""Settings of text: corpora, tokenizer, packing, and how samples and models are measured."""

from __future__ import annotations

import io
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ladd.config import AssetConfig, Block, DataConfig, EvaluationConfig
from ladd.config.blocks import Batch, Count, Key, Several, Text


class CorpusConfig(Block):
    """Documents within an asset."""

    asset: AssetConfig
    files: Text  # a glob within the asset
    # A document per file or per line; a field of rows; "folder" is what `save_to_disk` of datasets wrote.
    format: Literal["text", "lines", "jsonl", "csv", "parquet", "arrow", "folder"]
    field: Text | None = None  # of rows
    encoding: Text = "utf-8"
    detokeniser: Literal["none", "mdlm-lm1b", "mdlm-ptb", "mdlm-wikitext", "mdlm-lambada", "mdlm-scientific-papers"] = (
        "none"
    )
    documents: Count | None = None  # at most so many; null for all

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        try:
            io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            "a".encode(encoding)
        except (LookupError, ValueError):  # unknown, not of text, or not for files
            raise ValueError(f"{encoding!r} is no encoding of text; write one of Python's, such as utf-8") from None
        return encoding

    @model_validator(mode="after")
    def _check(self) -> CorpusConfig:
        rows = self.format not in ("text", "lines")
        if rows != (self.field is not None):
            needed = "the name of the text's field" if rows else "null, as it has no fields"
            raise ValueError(f"field is {self.field!r}: {self.format} needs {needed}")
        return self


class TokenizerConfig(Block):
    """From text to ids 0 ... V - 1; the mask, V, is not among them."""

    kind: Literal["bpe", "pretrained"]  # byte-level BPE trained on the training documents, or a tokenizer.json
    vocabulary: Annotated[int, Field(ge=3, le=2**24)]  # V; checked against a pretrained tokenizer
    asset: AssetConfig | None = None  # pretrained only
    files: Text | None = None  # path of tokenizer.json within the asset

    @model_validator(mode="after")
    def _check(self) -> TokenizerConfig:
        for name in ("asset", "files"):
            if (self.kind == "pretrained") != (getattr(self, name) is not None):
                raise ValueError(f"{name} must be given for a pretrained tokenizer and null for bpe")
        return self


class LastDocuments(Block):
    """The end of the training corpus, held out for validation."""

    last: Count  # documents


class TextDataConfig(DataConfig):
    """Text packed into blocks of N tokens (paper, Section E.2)."""

    kind: Literal["text"]
    tokens: Annotated[int, Field(ge=3, le=2**20)]  # N, BOS and EOS among them where blocks are framed
    tokenizer: TokenizerConfig
    # Blocks of N - 2 tokens between BOS and EOS, or of N; documents are joined with EOS.
    packing: Literal["framed", "plain"] = "framed"
    train: CorpusConfig
    # A corpus of its own, the last training documents, or a share of them that is drawn from all over the corpus.
    validation: CorpusConfig | LastDocuments | Annotated[float, Field(ge=1e-6, le=1 - 1e-6)]
    zero_shot: dict[Key, CorpusConfig] = Field(default={})

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return self.tokenizer.vocabulary


class TeacherConfig(Block):
    """Autoregressive model that scores generated text."""

    asset: AssetConfig
    file: Text  # folder of the model, or its GGUF file, within the asset
    batch: Batch  # texts at a time
    window: Batch  # teacher tokens of a text that are scored


class FeaturesConfig(Block):
    """Encoder whose mean token state stands for a text in MAUVE."""

    asset: AssetConfig
    folder: Text
    batch: Batch


class TextEvaluationConfig(EvaluationConfig):
    """How samples and models of text are measured."""

    kind: Literal["text"]
    time_draws: Annotated[int, Field(ge=2, le=10_000)]  # per sequence, of the likelihood bounds
    zero_shot_sequences: Several  # at most so many of every other corpus
    teacher: TeacherConfig
    features: FeaturesConfig
    mauve_clusters: Annotated[int, Field(ge=2, le=2**20)]
