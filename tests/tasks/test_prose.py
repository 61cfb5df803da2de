"""Text of one's own: characters, documents that are cut, and no model from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ladd.config.suite import check_suite
from ladd.errors import ConfigError
from ladd.evaluation.rows import Row
from ladd.metrics.base import Samples, Values, metric_of
from ladd.tasks import task_of
from ladd.tasks.text.own import parts_of

REPOSITORY = Path(__file__).resolve().parents[2]
PARAGRAPHS = [f"this is paragraph {number},\nof two lines." for number in range(40)]
CHARACTERS = len(set("\n".join(PARAGRAPHS))) + 2


def build(folder: Path, tokenizer: dict, **changes):
    """The task on one file of paragraphs, built in the working directory."""
    (folder / "book.txt").write_text("\n\n".join(PARAGRAPHS))
    data = {
        "kind": "prose",
        "tokens": 16,
        "tokenizer": tokenizer,
        "train": {"asset": {"source": "path", "name": str(folder)}, "files": "book.txt", "format": "text"},
        "validation": 0.2,
        "cut": "paragraphs",
    }
    suite = {
        "root": str(REPOSITORY),
        "suite": "book",
        "seed": 1,
        "compute": {"device": "cpu", "threads": 1},
        "run": {"workers": 1},
        "data": {"book": data | changes},
        "sweeps": {},
        "evaluation": {
            "kind": "prose",
            "time_draws": 2,
            "sequences": 20,
            "batch": 20,
            "reference": {"samples": 4, "seeds": [0, 1]},
        },
    }
    task = task_of(check_suite(suite, "params.yaml"), "book")
    task.folder.mkdir(parents=True)
    task.build(task.folder)
    return task


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paragraphs_are_packed_by_characters(folder):
    task = build(folder, {"kind": "character", "vocabulary": CHARACTERS})
    blocks = {split: task.rows(split)[:].long() for split in ("train", "validation")}
    end = task.tokenizer.eos
    for split, x in blocks.items():
        assert (x[:, 0] == end).all()
        assert (x[:, -1] == end).all()
        # The stream of all blocks is that of the paragraphs of the split, with an end between them.
        parts = "".join("|" if id_ == end else task.decode([id_]) for id_ in x[:, 1:-1].flatten().tolist()).split("|")
        assert set(parts[:-1]) <= set(PARAGRAPHS)
        assert len(parts) in ({8} if split == "validation" else {31, 32})
    assert not (folder / "artifacts/data/book/scratch").exists()


def test_everything_is_measured_without_a_teacher(folder):
    task = build(folder, {"kind": "character", "vocabulary": CHARACTERS})
    row = Row(suite="book", model="", family="", schedule="none")
    rows, shown = task.reference_rows(row, Values(folder / "values", {}))
    ppl = {each.model: each.value for each in rows if each.metric == "val_ppl"}
    assert 1 < ppl["bigram-book"] < ppl["unigram-book"] < CHARACTERS
    assert {each.metric for each in rows if each.family == "real"} == set(task.metric_settings())
    assert shown[0]["items"]
    with pytest.raises(ConfigError, match="Prose has no teacher; remove the metric"):
        metric_of("gen_ppl", {}, "").measure(Samples(task, torch.zeros(2, 16, dtype=torch.long), 0))


def test_one_document_cannot_be_split(folder):
    with pytest.raises(ConfigError, match="there is one document, so none is left to hold out"):
        build(folder, {"kind": "character", "vocabulary": CHARACTERS}, cut="none")


def test_bpe_is_told_its_size(folder):
    with pytest.raises(ConfigError, match=r"data.book.tokenizer.vocabulary: 2000, but the tokenizer has \d+ ids"):
        build(folder, {"kind": "bpe", "vocabulary": 2000})


@pytest.mark.parametrize(
    ("cut", "parts"), [("paragraphs", ["a\nb", " c", "d"]), ("lines", ["a", "b", " c", "d"])], ids=str
)
def test_blank_lines_and_line_breaks_are_borders(cut, parts):
    assert parts_of("\n\na\nb\n \t\r\n\n c\n\n\n\nd\n", cut) == parts
