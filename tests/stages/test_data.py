"""The data stage of text: which documents are held out, and assets without a commit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ladd.errors import AssetError, ConfigError
from ladd.tasks.text.build import make_tokenizer
from ladd.tasks.text.packing import Packed
from tests.builders import path_asset, text_suite_values
from tests.stages.text_assets import documents, write_corpora
from tests.stages.tiny import make_suite, run_here


def run(repository: Path, monkeypatch, values: dict) -> Path:
    """Run the data stage of a suite in a repository of its own; the artefact."""
    write_corpora(repository / "corpora")
    folder = make_suite(repository, repository / "suites" / "tiny-text", values)
    monkeypatch.chdir(folder)
    run_here("data", "text")
    return folder / "artifacts/data/text"


def text_hash(texts: list[str]) -> str:
    """Of documents, each with its length."""
    contents = [text.encode() for text in texts]
    return hashlib.sha256(b"".join(len(each).to_bytes(8, "little") + each for each in contents)).hexdigest()


def test_the_last_documents_are_held_out(tmp_path, monkeypatch):
    values = text_suite_values()
    values["data"]["text"]["validation"] = {"last": 7}
    artefact = run(tmp_path, monkeypatch, values)
    corpora = json.loads((artefact / "description.json").read_text())["corpora"]
    texts = documents(60, seed=0)
    assert corpora["train"]["text_hash"] == text_hash(texts[:-7])
    assert corpora["validation"]["text_hash"] == text_hash(texts[-7:])


def test_assets_without_a_commit_stop_the_stage_before_it_reads_anything(tmp_path, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    hub = SimpleNamespace(repo_info=lambda **arguments: SimpleNamespace(sha="d" * 40))
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    monkeypatch.setattr("ladd.tasks.text.build.make_tokenizer", lambda *arguments: pytest.fail("documents were read"))
    values = text_suite_values()
    unpinned = {"source": "hub", "kind": "dataset", "revision": None}
    values["data"]["text"]["zero_shot"]["sentences"]["asset"] = path_asset("org/sentences") | unpinned
    values["evaluation"]["teacher"]["asset"] = path_asset("org/teacher") | unpinned | {"kind": "model"}
    with pytest.raises(AssetError) as error:
        run(tmp_path, monkeypatch, values)
    for key in ("data.text.zero_shot.sentences.asset", "evaluation.teacher.asset"):
        assert f"{key}.revision is null" in str(error.value)
    assert str(error.value).count(f"revision: {'d' * 40}") == 2


def test_one_block_is_too_little_to_train_on(tmp_path, monkeypatch):
    packed = Packed(documents=1, bytes=9, tokens=9, blocks=1, text_hash="")
    monkeypatch.setattr("ladd.tasks.text.build.pack_corpus", lambda *arguments, **settings: packed)
    with pytest.raises(ConfigError, match=r"data\.text\.tokens: the training documents fill 1 block of 16 tokens"):
        run(tmp_path, monkeypatch, text_suite_values())


def test_tokenizer_of_several_files_is_refused(monkeypatch):
    monkeypatch.setattr("ladd.tasks.text.build.asset_folder", lambda asset, root: Path())
    monkeypatch.setattr("ladd.tasks.text.build.asset_files", lambda folder, pattern: [Path("a.json"), Path("b.json")])
    config = SimpleNamespace(tokenizer=SimpleNamespace(asset=path_asset("a"), files="*.json"), vocabulary=290)
    with pytest.raises(ConfigError, match=r"data\.text\.tokenizer\.files: '\*\.json' is of 2 files.*name one"):
        make_tokenizer(SimpleNamespace(root="."), "text", config, None)
