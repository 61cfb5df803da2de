"""Suites with weights to generate from; each is the working directory of the test that asks for it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml

from ladd.config import Suite, load_suite
from ladd.stages.manifest import write_manifest
from ladd.tasks.text.build import TOKENIZER
from tests.generation.suites import MODELS, TEXT_TOKENS, text_values, values_with_every_knob, write_weights
from tests.stages.tiny import make_suite, run_here
from tests.tasks.text.builders import trained


@pytest.fixture(scope="session")
def sawtooth(tmp_path_factory) -> Path:
    """Folder of a sawtooth suite with all families."""
    repository = tmp_path_factory.mktemp("sawtooth")
    folder = make_suite(repository, repository / "suites" / "tiny", values_with_every_knob())
    with contextlib.chdir(folder):
        suite = load_suite()
        run_here("data", "saw")
        run_here("baseline", "mdlm")  # with checkpoints and a tracked run
        for key in MODELS[1:]:
            write_weights(suite, key)
    return folder


@pytest.fixture
def suite(sawtooth, monkeypatch) -> Suite:
    monkeypatch.chdir(sawtooth)
    return load_suite()


@pytest.fixture(scope="module", params=["framed", "plain"])
def text_folder(request, tmp_path_factory) -> Path:
    """Folder of a text suite with a tokenizer and models."""
    folder = tmp_path_factory.mktemp("text")
    tokenizer = trained()
    values = text_values(TEXT_TOKENS, request.param, tokenizer.vocabulary)
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    tokenizer.save(folder / "artifacts/data/saw" / TOKENIZER)
    write_manifest(folder / "artifacts/data/saw", stage="test")
    suite = load_suite(folder / "params.yaml")
    with contextlib.chdir(folder):
        for key in MODELS:
            write_weights(suite, key)
    return folder


@pytest.fixture
def text(text_folder, monkeypatch) -> Suite:
    monkeypatch.chdir(text_folder)
    return load_suite()
