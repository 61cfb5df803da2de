"""Every block is of the document that most of its tokens come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ladd.data.shards import Rows, write_shards
from ladd.tasks.text import packing as module
from ladd.tasks.text.packing import block_documents, pack

BOS, EOS, VOCABULARY = 98, 99, 100
CPU = torch.device("cpu")


def packed(folder: Path, lengths: list[int], packing: str, tokens: int = 6) -> Rows:
    """Blocks of documents whose tokens are their own number."""
    documents = [np.array([*[number] * length, EOS], dtype=np.int32) for number, length in enumerate(lengths)]
    blocks = pack(documents, tokens=tokens, packing=packing, bos=BOS, eos=EOS)
    write_shards(folder, blocks, tokens=tokens, vocabulary=VOCABULARY, shard=5)
    return Rows.open(folder, CPU)


def most(block: torch.Tensor) -> int:
    """The commonest number among the documents' tokens of a block; the first of several."""
    return int(block[block < BOS].mode().values)


@pytest.mark.parametrize("packing", ["framed", "plain"])
@pytest.mark.parametrize("batch", [4096, 3])
def test_document_of_a_block_is_the_one_that_most_tokens_are_of(tmp_path, monkeypatch, packing, batch):
    monkeypatch.setattr(module, "_BATCH", batch)
    # Of these, no block is shared by two documents in equal parts: EOS counts for the one that it ends.
    rows = packed(tmp_path, [9, 1, 30, 2, 2, 13, 7, 40, 3, 11], packing)
    wanted = torch.from_numpy(np.random.default_rng(0).permutation(len(rows)))
    found = block_documents(rows, wanted, packing=packing, eos=EOS)
    assert found.unique().numel() > 4
    clear = [
        row for row, block in enumerate(rows[wanted]) if (block == most(block)).sum() > (block < BOS).sum() / 2 + 1
    ]
    assert len(clear) > 10
    assert [int(found[row]) for row in clear] == [most(rows[wanted[row : row + 1]][0]) for row in clear]


@pytest.mark.parametrize("packing", ["framed", "plain"])
def test_a_document_that_ends_with_its_block_does_not_reach_into_the_next(tmp_path, packing):
    body = 4 if packing == "framed" else 6
    rows = packed(tmp_path, [body - 1, 2 * body - 1, body], packing)
    found = block_documents(rows, torch.arange(4), packing=packing, eos=EOS)
    assert found.tolist() == [0, 1, 1, 2]


def test_some_blocks_have_the_documents_that_they_have_among_all(tmp_path):
    rows = packed(tmp_path, [20, 30, 5, 60], "framed")
    every = block_documents(rows, torch.arange(len(rows)), packing="framed", eos=EOS)
    wanted = torch.tensor([17, 2, 9])
    assert torch.equal(block_documents(rows, wanted, packing="framed", eos=EOS), every[wanted])
