"""Rows of molecules: padding, what rows are strings, files that are wrong, real sets, simple models."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ladd.config import Suite
from ladd.config.data import check_packages
from ladd.data import chemistry
from ladd.errors import ArtifactError, ConfigError
from ladd.evaluation.rows import Row
from ladd.metrics.base import Values
from ladd.tasks import task_of
from ladd.tasks.molecules.references import PUBLISHED, Factorised, Ngram
from ladd.tasks.molecules.tokenizer import PAD, MoleculeTokenizer
from tests.tasks.molecules.small import RINGS, data_values, strings, suite_values, write_files

KINDS = ("character", "regex", "bpe")


@pytest.fixture(scope="module")
def asset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("asset") / "files"
    write_files(folder)
    return folder


def built(asset, folder, monkeypatch, **changes):
    """The task of the small data set, where it was built."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    kind = changes.pop("tokenizer", "character")
    wanted = MoleculeTokenizer.train(kind, strings(), 40).vocabulary
    suite = Suite.model_validate(suite_values(asset, tokenizer={"kind": kind, "vocabulary": wanted}, **changes))
    task = task_of(suite, "small")
    task.folder.mkdir(parents=True)
    task.build(task.folder)
    return task


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_strings_and_padding_behind_them(asset, tmp_path, monkeypatch, kind):
    task = built(asset, tmp_path, monkeypatch, tokenizer=kind)
    rows = task.rows("train")[:]
    is_pad = rows == PAD
    assert (is_pad.long().diff(dim=1) >= 0).all()
    assert is_pad[:, -1].all()
    texts = task.texts(rows)
    assert sorted(texts) == [text for i, text in enumerate(strings()) if i % 3]
    assert texts != sorted(texts)
    for text, row in zip(texts[:20], rows, strict=False):
        assert task.encode(text) == row[row != PAD].tolist()


def test_an_atom_of_several_characters_is_one_token(asset, tmp_path, monkeypatch):
    task = built(asset, tmp_path, monkeypatch, tokenizer="regex")
    assert {"Br", "Cl", "[nH]"} <= set(task.tokenizer.pieces)
    assert "[" not in task.tokenizer.pieces
    assert len(task.encode("BrC[nH]Cl")) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_misplaced_pad_is_seen_in_the_text_and_no_molecule(kind):
    tokenizer = MoleculeTokenizer.train(kind, strings(), 40)
    ids = tokenizer.encode("CCO")
    assert tokenizer.decode([*ids, PAD, PAD]) == "CCO"
    assert tokenizer.decode([*ids, PAD, *ids]) == "CCO_CCO"
    assert tokenizer.decode([PAD, *ids]) == "_CCO"
    assert tokenizer.decode([PAD, PAD]) == ""
    assert tokenizer.decode([*ids, tokenizer.vocabulary]) == "CCO"  # the mask
    assert chemistry.canonical(("OCC", "_CCO", "CCO_CCO", "", "CC(", "c1ccccc")) == ["CCO", *[None] * 5]


def test_prompt_with_an_unknown_character_is_refused():
    for kind in KINDS:
        with pytest.raises(ConfigError, match="'CXC' has a part that is no token"):
            MoleculeTokenizer.train(kind, strings(), 40).encode("CXC")


def test_wrong_sizes_are_refused_with_what_to_write(asset, tmp_path, monkeypatch):
    right = MoleculeTokenizer.train("character", strings(), 1).vocabulary
    with pytest.raises(
        ConfigError, match=r"data.small.tokens: 12, but \d+ of \d+ strings are longer, up to \d+ tokens"
    ):
        built(asset, tmp_path / "a", monkeypatch, tokens=12)
    task = built(asset, tmp_path / "b", monkeypatch, tokens=12, longer="drop")
    assert 0 < len(task.rows("train")) < len(strings())
    with pytest.raises(ConfigError, match=r"data\.small\.train: 9999 strings, but the file has"):
        built(asset, tmp_path / "c", monkeypatch, train=9999)
    monkeypatch.chdir(tmp_path)
    values = suite_values(asset, tokenizer={"kind": "character", "vocabulary": right + 1})
    task = task_of(Suite.model_validate(values), "small")
    task.folder.mkdir(parents=True)
    with pytest.raises(ConfigError, match=f"vocabulary: {right + 1}, but the strings have {right} tokens"):
        task.build(task.folder)


def test_wrong_files_are_refused(asset, tmp_path, monkeypatch):
    files = data_values(asset)["files"]
    with pytest.raises(ArtifactError, match="has no column 'SMARTS' with strings; it has"):
        built(asset, tmp_path / "a", monkeypatch, files=files | {"column": "SMARTS"})
    (asset / "bad.csv").write_text("smarts\nC(\n")
    with pytest.raises(ArtifactError, match=r"bad.csv: 'C\(' is no SMARTS; correct data.files.filters"):
        built(asset, tmp_path / "b", monkeypatch, files=files | {"filters": ["bad.csv"]})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 60}, "need 80 real molecules, data.small.train is 60"),
        ({"validation": 20}, "evaluation.sequences: 32 must be at most data.small.validation, 20"),
        ({"tokenizer": {"kind": "bpe", "vocabulary": 65535}}, "evaluation.reference.order: 3 tokens of 65535"),
    ],
)
def test_settings_that_do_not_fit_are_refused(asset, changes, message):
    with pytest.raises(ValueError, match=message):
        Suite.model_validate(suite_values(asset, **changes))


def test_a_missing_package_is_named_before_anything_runs(asset, monkeypatch):
    suite = Suite.model_validate(suite_values(asset))
    check_packages(suite.data)
    monkeypatch.setattr("ladd.config.data.find_spec", lambda name: None if name == "rdkit" else object())
    with pytest.raises(
        ConfigError, match=r"data.small.kind: 'molecules' needs rdkit, .* `pip install '\.\[molecules\]'"
    ):
        check_packages(suite.data)


def test_references_of_the_small_set(asset, tmp_path, monkeypatch):
    task = built(asset, tmp_path, monkeypatch)
    task.evaluation.reference.__dict__["published"] = True
    rows, shown = task.reference_rows(Row("s", model="", family=""), Values(tmp_path / "values", {}))
    found = {(row.model, row.metric, row.seed): row.value for row in rows}
    for seed in (0, 1):
        real = {metric: value for (model, metric, s), value in found.items() if (model, s) == ("real-small", seed)}
        assert real["valid_molecules"] == real["unique_molecules"] == real["matched_brackets"] == 1
        assert real["novel_molecules"] == real["misplaced_pad"] == 0
        assert real["closed_rings"] == 1
        assert 0 < real["snn"] < 1
        assert found["factorised-small", "length_distance", seed] < 3
        assert found["factorised-small", "misplaced_pad", seed] == 0
        assert found["ngram-small", "valid_molecules", seed] > found["factorised-small", "valid_molecules", seed]
    assert found["published-charrnn-small", "fcd", None] == 0.073
    published = [row for row in rows if row.family in PUBLISHED]
    assert {row.n for row in published} == {0}
    own = {(row.metric, row.evaluator_version, row.tokenizer) for row in rows if row.family == "real"}
    assert {(row.metric, row.evaluator_version, row.tokenizer) for row in published} <= own
    assert len(shown[0]["items"]) == 4


def test_factorised_draw_has_the_marginals_of_each_length():
    generator = np.random.default_rng(0)
    x = np.array([[1, 2, 0], [2, 1, 0], [1, 1, 1], [3, 0, 0]])
    drawn = Factorised(x).draw(20000, generator)
    assert set(map(tuple, drawn)) == {(1, 2, 0), (2, 1, 0), (1, 1, 0), (2, 2, 0), (1, 1, 1), (3, 0, 0)}
    assert (drawn == [1, 1, 0]).all(axis=1).mean() == pytest.approx(0.5 * 0.25, abs=0.01)
    assert (drawn == [1, 1, 1]).all(axis=1).mean() == pytest.approx(0.25, abs=0.01)


def test_ngram_model_has_the_frequencies_of_its_contexts():
    x = np.array([[1, 1, 2, 0], [1, 2, 0, 0], [2, 2, 2, 0], [1, 1, 1, 0]])
    drawn = torch.from_numpy(Ngram(x, 1, 3).draw(40000, np.random.default_rng(0)))
    assert (drawn[:, 0] == 1).double().mean() == pytest.approx(0.75, abs=0.01)
    after = drawn[:, 1][drawn[:, 0] == 1]  # a 1 is followed by 1, 2, 2, 1, 1, 0
    assert (after == 1).double().mean() == pytest.approx(3 / 6, abs=0.01)
    assert (after == 0).double().mean() == pytest.approx(1 / 6, abs=0.01)
    whole = Ngram(x, 4, 3).draw(2000, np.random.default_rng(0))
    assert set(map(tuple, whole)) == set(map(tuple, x))  # with the whole past it has learned the rows by heart


def test_ngram_model_pads_where_a_context_was_only_seen_at_the_end_of_a_full_row():
    x = np.array([[1, 2, 3], [2, 3, 0]])  # (1, 2, 3) and (2, 3, 0); 3 is last in a row or padded
    drawn = Ngram(x, 1, 4).draw(4000, np.random.default_rng(0))
    assert set(map(tuple, drawn)) == {(1, 2, 3), (2, 3, 0)}
    x = np.array([[1, 2, 3], [3, 1, 2]])  # 2 is followed by 3, or ends a full row
    drawn = Ngram(x, 1, 4).draw(4000, np.random.default_rng(0))
    assert set(map(tuple, drawn)) == {(1, 2, 3), (1, 2, 0), (3, 1, 2), (3, 0, 0)}


def test_a_picture_tells_valid_from_not_and_why(asset, tmp_path, monkeypatch):
    task = task_of(Suite.model_validate(suite_values(asset)), "small")
    good = task.picture(RINGS[0])
    assert good.good
    assert good.svg.startswith("<svg")
    assert good.svg.endswith("</svg>")
    notes = {text: task.picture(text) for text in ("", "C_C", "C(C", "C1CC", "C(C)(C)(C)(C)C")}
    assert not any(picture.good or picture.svg for picture in notes.values())
    assert [picture.note for picture in notes.values()] == [
        f"not valid: {words}"
        for words in (
            "empty",
            "padding inside",
            "a bracket without partner",
            "a ring that is not closed",
            "valence, aromaticity or grammar",
        )
    ]
