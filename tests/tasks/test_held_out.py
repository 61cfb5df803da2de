"""Likelihoods are measured on sequences from all over a split, with the documents that they are of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ladd.config import Suite
from ladd.data.shards import write_shards
from ladd.tasks import task_of
from ladd.tasks.text import TextTask
from ladd.tasks.text.packing import pack
from tests.builders import suite_values, text_suite_values

DOCUMENTS, BLOCKS, TOKENS = 20, 10, 16
EOS = 289


@pytest.fixture
def text(tmp_path, monkeypatch) -> Suite:
    """A text suite whose validation split has twenty documents of ten blocks; tokens are the documents' numbers."""
    monkeypatch.chdir(tmp_path)
    body = TOKENS - 2
    lengths = dict.fromkeys(range(DOCUMENTS), BLOCKS * body - 1) | {DOCUMENTS: body}
    documents = [np.array([*[number] * length, EOS]) for number, length in lengths.items()]
    blocks = list(pack(documents, tokens=TOKENS, packing="framed", bos=288, eos=EOS))
    blocks = [np.concatenate(blocks)[: DOCUMENTS * BLOCKS]]
    write_shards(Path("artifacts/data/text/validation"), blocks, tokens=TOKENS, vocabulary=290, shard=64)
    monkeypatch.setattr(TextTask, "tokenizer", SimpleNamespace(eos=EOS))
    return Suite.model_validate(text_suite_values())


def test_documents_are_those_of_the_sequences(text):
    found = task_of(text, "text").held_out("validation", 50)
    assert found.tokens.shape == (50, TOKENS)
    assert torch.equal(found.documents, found.tokens[:, 1])
    assert found.document_count == len(found.tokens[:, 1].unique())


def test_sequences_are_of_all_documents_and_not_neighbours(text):
    found = task_of(text, "text").held_out("validation", 60)
    # The first 60 blocks are of six documents.
    assert found.document_count > 15
    assert found.documents.tolist() != sorted(found.documents.tolist())


def test_all_models_are_measured_on_the_same_sequences(text):
    few, many = (task_of(text, "text").held_out("validation", count) for count in (10, 60))
    assert torch.equal(few.tokens, many.tokens[:10])
    assert len(task_of(text, "text").held_out("validation", 10_000).tokens) == DOCUMENTS * BLOCKS
    other = Suite.model_validate(text_suite_values() | {"seed": 2})
    assert not torch.equal(few.tokens, task_of(other, "text").held_out("validation", 10).tokens)


def test_every_sequence_of_the_sawtooth_is_independent(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).integers(2, size=(6, 8))
    write_shards(Path("artifacts/data/saw/validation"), [x], tokens=8, vocabulary=2, shard=4)
    found = task_of(Suite.model_validate(suite_values()), "saw").held_out("validation", 4)
    assert (found.documents, found.document_count) == (None, None)
    assert torch.equal(found.tokens, torch.from_numpy(x[:4]))
