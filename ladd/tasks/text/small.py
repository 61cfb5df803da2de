"""Blocks of text made small, with assets that are at hand, for a rehearsal of all stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ladd.tasks.base import Plain

VOCABULARY = 320  # of a tokenizer that is trained, at most: 256 bytes and what two short documents repeat
OFFLINE_VOCABULARY = 30522  # of the tokenizer of the encoder that stands in
DOCUMENTS = 2  # of a corpus
VALIDATION_DOCUMENTS = 12  # of one for validation, which short news items stand in for


def shrink(data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
    """Change both blocks in place."""
    if data["tokenizer"]["kind"] == "bpe":
        data["tokenizer"]["vocabulary"] = min(data["tokenizer"]["vocabulary"], VOCABULARY)
    for corpus in (data["train"], *data["zero_shot"].values()):
        _few(corpus, DOCUMENTS)
    if isinstance(data["validation"], dict) and "last" in data["validation"]:
        data["validation"] = {"last": DOCUMENTS // 2}
    elif isinstance(data["validation"], dict):
        _few(data["validation"], VALIDATION_DOCUMENTS)
    else:
        data["validation"] = 1 / DOCUMENTS  # one of them
    evaluation |= {"zero_shot_sequences": sizes["sequences"], "mauve_clusters": 2}
    evaluation["teacher"] |= {"batch": sizes["samples"], "window": min(evaluation["teacher"]["window"], 64)}
    evaluation["features"]["batch"] = sizes["samples"]


def _few(corpus: Plain, documents: int) -> None:
    corpus["documents"] = min(corpus.get("documents") or documents, documents)


def stand_ins(data: Plain, evaluation: Plain, offline: Plain) -> Iterator[tuple[str, Plain, Plain]]:
    """For every block with an asset: its place in params.yaml, the block, and what may stand in for its asset.

    Args:
        data: the block of `data`; its place begins with "data.".
        evaluation: the block of `evaluation`.
        offline: a params.yaml of text whose assets are at hand.
    """
    (corpora, *_), (encoder, *_) = offline["data"].values(), offline["encoders"].values()
    others = list(corpora["zero_shot"].values())
    model = {key: encoder[key] for key in ("asset", "folder")}
    tokenizer: dict[str, Any] = {"asset": encoder["asset"], "vocabulary": OFFLINE_VOCABULARY}
    yield "data.tokenizer", data["tokenizer"], tokenizer | {"files": f"{encoder['folder']}/tokenizer.json"}
    yield "data.train", data["train"], _documents(corpora["train"])
    if isinstance(data["validation"], dict):
        yield "data.validation", data["validation"], _documents(others[-1])
    for index, (name, corpus) in enumerate(data["zero_shot"].items()):
        yield f"data.zero_shot.{name}", corpus, _documents(others[index % len(others)])
    teacher = {key: offline["evaluation"]["teacher"][key] for key in ("asset", "file")}
    yield "evaluation.teacher", evaluation["teacher"], teacher
    yield "evaluation.features", evaluation["features"], model


def _documents(corpus: Plain) -> Plain:
    """Where documents are and how they are read; the detokeniser stays that of the corpus that is replaced."""
    return {"field": None, "encoding": "utf-8"} | {
        key: corpus[key] for key in ("asset", "files", "format", "field", "encoding") if key in corpus
    }
