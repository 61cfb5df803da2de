"""Data sets: the synthetic sawtooth, and text with its assets and tokenizer."""

from __future__ import annotations

import io
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ladd.config.blocks import Block, Count, Key, Text

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
COMMIT = re.compile("[0-9a-f]{40}")
MIN_FLOOR = 1e-6
Tokens = Annotated[int, Field(ge=1, le=2**20)]
Drawn = Annotated[int, Field(ge=2, le=2**24)]  # sequences that are in memory when they are drawn


class SawtoothConfig(Block):
    """The binary sawtooth (paper, Section E.1)."""

    kind: Literal["sawtooth"]
    tokens: Tokens  # N
    periods: Count  # P
    floor: Annotated[float, Field(lt=0.5)]  # e, the smallest probability of a 1
    train: Drawn  # sequences
    validation: Drawn
    reference: Drawn  # real sequences that samples are compared with

    @field_validator("floor")
    @classmethod
    def _check_floor(cls, floor: float) -> float:
        if floor < MIN_FLOOR:
            raise ValueError(
                f"{floor}: write at least {MIN_FLOOR:g}; at 0 some sequences cannot occur, and for those the exact "
                "denoiser has no answer and the likelihood no logarithm"
            )
        return floor

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return 2


class AssetConfig(Block):
    """A file or folder from elsewhere, pinned (docs/ASSETS.md)."""

    source: Literal["wheel", "hub", "path"]
    name: Text  # of the package, of the repository ("org/name"), or the path from the root of this repository
    # Version of the wheel, commit of the hub repository. Where the latter is null, the first fetch looks the commit up,
    # says which to write here, and stops.
    revision: Text | None = None
    branch: Text | None = None  # hub only: where a null revision is looked up; null for main
    file: Text | None = None  # file name of the wheel; files wanted of a hub repository (a glob)
    kind: Literal["model", "dataset"] | None = None  # hub only
    sha256: Sha256 | None = None  # of the wheel, or of the listing of a folder

    @model_validator(mode="after")
    def _check(self) -> AssetConfig:
        if (self.source == "hub") != (self.kind is not None):
            raise ValueError(f"kind is {self.kind}: hub assets need 'model' or 'dataset', {self.source} assets null")
        if self.source != "hub" and self.branch is not None:
            raise ValueError(f"branch is {self.branch!r}: only hub assets have one, set it to null")
        if self.source == "path" and self.revision is not None:
            raise ValueError(f"revision is {self.revision!r}: a path asset has none, set it to null")
        if self.source == "wheel" and self.revision is None:
            raise ValueError("revision is null: a wheel asset must be pinned, write its version")
        if self.source == "hub" and self.revision is not None and not COMMIT.fullmatch(self.revision):
            raise ValueError(
                f"revision is {self.revision!r}: branches and tags of the hub move, write a commit (40 hexadecimal "
                "digits), or null, and the first fetch says which"
            )
        if self.source == "wheel" and self.file is None:
            raise ValueError("file must be given for a wheel: its exact name, which says for what machines it is")
        return self


class CorpusConfig(Block):
    """Documents within an asset."""

    asset: AssetConfig
    files: Text  # a glob within the asset
    format: Literal["text", "lines", "jsonl", "parquet", "wikipedia"]
    field: Text | None = None  # of jsonl and parquet
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
        if (self.format in ("jsonl", "parquet")) != (self.field is not None):
            raise ValueError(f"field is {self.field!r}: jsonl and parquet need the text's field, {self.format} null")
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


class TextDataConfig(Block):
    """Text packed into blocks of N tokens (paper, Section E.2)."""

    kind: Literal["text"]
    tokens: Annotated[int, Field(ge=3, le=2**20)]  # N
    tokenizer: TokenizerConfig
    packing: Literal["framed", "plain"] = (
        "framed"  # blocks of N - 2 between BOS and EOS, or of N; documents joined with EOS
    )
    train: CorpusConfig
    # A corpus of its own, the last training documents, or a share of them that is drawn from all over the corpus.
    validation: CorpusConfig | LastDocuments | Annotated[float, Field(ge=1e-6, le=1 - 1e-6)]
    zero_shot: dict[Key, CorpusConfig] = Field(default={})

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return self.tokenizer.vocabulary


DataConfig = Annotated[SawtoothConfig | TextDataConfig, Field(discriminator="kind")]
