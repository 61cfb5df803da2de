"""Documents and tokenizers of one's own data (docs/your-data.md), for the tasks that read them.

A tokenizer here is of one of three kinds: characters, byte-level BPE, both trained on the data, or a tokenizer.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from ladd.assets import asset_files, asset_folder
from ladd.config import AssetConfig, Block, Suite
from ladd.config.blocks import Text
from ladd.errors import ConfigError
from ladd.tasks.text.build import documents_of
from ladd.tasks.text.documents import BATCH, map_options, split_documents, split_last
from ladd.tasks.text.settings import CorpusConfig, LastDocuments
from ladd.tasks.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from datasets import Dataset

UNKNOWN = "\ufffd"  # stands for a character that the vocabulary lacks
END = "<|endoftext|>"  # both BOS and EOS of a tokenizer of characters
Cut = Literal["none", "paragraphs", "lines"]
BORDERS = {"paragraphs": re.compile(r"\n(?:[ \t\r]*\n)+"), "lines": re.compile(r"\n")}
# The last documents of the training corpus, a share of them from all over it, or a corpus of its own.
Validation = CorpusConfig | LastDocuments | Annotated[float, Field(ge=1e-6, le=1 - 1e-6)]


class OwnTokenizerConfig(Block):
    """From text to ids 0 ... V - 1; the mask, V, is not among them."""

    kind: Literal["character", "bpe", "pretrained"]
    vocabulary: Annotated[int, Field(ge=3, le=2**24)]  # V; checked against the tokenizer
    asset: AssetConfig | None = None  # pretrained only
    files: Text | None = None  # path of tokenizer.json within the asset

    @model_validator(mode="after")
    def _check(self) -> OwnTokenizerConfig:
        for name in ("asset", "files"):
            if (self.kind == "pretrained") != (getattr(self, name) is not None):
                raise ValueError(f"{name} must be given for a pretrained tokenizer and null for {self.kind}")
        return self


def train_characters(documents: Iterable[str]) -> Tokenizer:
    """A token for every character that occurs, in the order of Unicode, after `END` and `UNKNOWN`."""
    from tokenizers import Regex, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    found: set[str] = set()
    for document in documents:
        found.update(document)
    ids = {name: place for place, name in enumerate([END, UNKNOWN, *sorted(found - {UNKNOWN})])}
    backend = Backend(models.WordLevel(ids, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([END])
    return Tokenizer(backend)


def own_tokenizer(suite: Suite, config: OwnTokenizerConfig, train: Dataset, validation: Dataset) -> Tokenizer:
    """Train or read the tokenizer, whatever its size.

    Args:
        train: training documents, column text: merges of BPE are learned on them.
        validation: documents whose characters count too, so that none of one's own data is unknown.
    Raises:
        ConfigError: its name is of several files.
    """
    if config.asset is not None and config.files is not None:
        files = asset_files(asset_folder(config.asset, Path(suite.root)), config.files)
        if len(files) > 1:
            raise ConfigError(
                f"tokenizer.files: {config.files!r} is of {len(files)} files, the first two {files[0]} and {files[1]}; "
                "name one"
            )
        return Tokenizer.load(files[0])
    if config.kind == "character":
        return train_characters(
            text for part in (train, validation) for batch in part.iter(BATCH) for text in batch["text"]
        )
    return Tokenizer.train((text for batch in train.iter(BATCH) for text in batch["text"]), config.vocabulary)


def check_vocabulary(key: str, config: OwnTokenizerConfig, tokenizer: Tokenizer) -> None:
    """Hold V of params.yaml against the tokenizer. Raises ConfigError: they differ."""
    if tokenizer.vocabulary != config.vocabulary:
        raise ConfigError(
            f"data.{key}.tokenizer.vocabulary: {config.vocabulary}, but the tokenizer has {tokenizer.vocabulary} ids; "
            "write that number"
        )


def own_documents(
    suite: Suite, train: CorpusConfig, validation: Validation, cut: Cut, scratch: Path
) -> tuple[Dataset, Dataset]:
    """Training and validation documents; no document is in both.

    Args:
        train: corpus that is read.
        validation: what of it is held out, or a corpus of its own.
        cut: where documents are cut into several before that.
        scratch: folder for what the library keeps on disk.
    """
    workers = suite.run.workers
    documents = cut_documents(documents_of(suite, train, scratch / "train", workers), cut, scratch)
    if isinstance(validation, CorpusConfig):
        held_out = documents_of(suite, validation, scratch / "validation", workers)
        return documents, cut_documents(held_out, cut, scratch)
    if isinstance(validation, LastDocuments):
        last = validation.last
        return split_last(documents, last, validation=False), split_last(documents, last, validation=True)
    if len(documents) < 2:
        raise ConfigError("validation: there is one document, so none is left to hold out; cut it (cut: paragraphs)")
    parts = [
        split_documents(documents, validation, suite.seed, validation=wanted, scratch=scratch)
        for wanted in (False, True)
    ]
    return parts[0], parts[1]


def cut_documents(documents: Dataset, cut: Cut, scratch: Path) -> Dataset:
    """Parts of documents as documents, those without a visible character left out."""
    if cut == "none":
        return documents
    return documents.map(_cut, fn_kwargs={"cut": cut}, **map_options(1, scratch, "parts"))


def _cut(batch: dict[str, list[str]], *, cut: str) -> dict[str, list[str]]:
    return {"text": [part for text in batch["text"] for part in parts_of(text, cut)]}


def parts_of(text: str, cut: str) -> list[str]:
    """The paragraphs or lines of a text that have a visible character."""
    return [part.strip("\r\n") for part in BORDERS[cut].split(text) if part.strip()]
