"""Blocks and whole corpora."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import datasets
import numpy as np
import psutil
import pytest
import torch

from ladd.data.shards import Rows
from ladd.errors import ArtifactError, ConfigError
from ladd.tasks.text.packing import Packed, encode_documents, pack, pack_corpus
from tests.tasks.text.builders import SENTENCES, trained

BOS, EOS = 90, 91
STREAM = [1, 2, 3, EOS, 4, EOS, 5, 6, 7, 8, EOS]  # three documents, each with EOS behind it


def packed(streams: list[list[int]], tokens: int, packing: str) -> list[list[int]]:
    parts = (np.array(stream, dtype=np.int64) for stream in streams)
    return [row.tolist() for rows in pack(parts, tokens=tokens, packing=packing, bos=BOS, eos=EOS) for row in rows]


def test_framed_blocks_are_parts_of_the_joined_documents_between_bos_and_eos():
    expected = [[BOS, 1, 2, 3, EOS], [BOS, EOS, 4, EOS, EOS], [BOS, 5, 6, 7, EOS]]
    assert packed([STREAM], 5, "framed") == expected


def test_plain_blocks_are_parts_of_the_joined_documents():
    assert packed([STREAM], 4, "plain") == [[1, 2, 3, EOS], [4, EOS, 5, 6]]


def test_a_last_block_that_is_just_full_is_kept_and_no_separator_follows_the_last_document():
    assert packed([STREAM], 10, "plain") == [STREAM[:10]]
    assert packed([STREAM], 11, "plain") == []


@pytest.mark.parametrize("cuts", [[1], [3, 4], [4], [10], list(range(11))])
def test_blocks_do_not_depend_on_how_the_stream_comes(cuts):
    borders = [0, *cuts, len(STREAM)]
    parts = [STREAM[start:stop] for start, stop in pairwise(borders)]
    for tokens in range(1, 12):
        assert packed(parts, tokens, "plain") == packed([STREAM], tokens, "plain")


@pytest.mark.parametrize(("tokens", "packing", "message"), [(2, "framed", "tokens: 2"), (8, "loose", "'loose'")])
def test_impossible_packings_are_refused(tokens, packing, message):
    with pytest.raises(ConfigError, match=message):
        packed([STREAM], tokens, packing)


def corpus(count: int) -> list[str]:
    """Documents of very different lengths."""
    generator = np.random.default_rng(0)
    return ["".join(SENTENCES[i] for i in generator.integers(3, size=1 + 40 * (k == 5))) for k in range(count)]


def pack_texts(texts: list[str], folder: Path, workers: int = 1, **changes) -> Packed:
    settings = {"tokens": 16, "packing": "framed", "shard": 50} | changes
    documents = datasets.Dataset.from_dict({"text": texts})
    scratch = folder.parent / f"{folder.name}-scratch"
    return pack_corpus(documents, trained(), folder, **settings, workers=workers, scratch=scratch)


def test_any_number_of_workers_writes_the_same_bytes(tmp_path):
    contents, counts = [], []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        counts.append(pack_texts(corpus(60), folder, workers))
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert counts[0] == counts[1]
    assert len(contents[0]) > 1


def test_a_packed_corpus_is_its_text_and_its_counts(tmp_path):
    tokenizer, documents = trained(), corpus(12)
    counts = pack_texts(documents, tmp_path / "packed")
    rows = Rows.open(tmp_path / "packed", torch.device("cpu"))[:]
    assert rows.shape == (counts.blocks, 16)
    assert torch.equal(rows[:, 0].unique(), torch.tensor([tokenizer.bos]))
    assert torch.equal(rows[:, -1].unique(), torch.tensor([tokenizer.eos]))
    stream = rows[:, 1:-1].flatten().tolist()
    assert stream.count(tokenizer.eos) == 11
    text = "".join(documents)
    assert text.startswith(tokenizer.decode(stream).rstrip("\ufffd"))
    ids = [len(array) for array in tokenizer.encode(documents)]
    assert (counts.documents, counts.bytes, counts.tokens) == (12, len(text.encode()), sum(ids))
    assert counts.blocks == (sum(ids) + 11) // 14
    digest = hashlib.sha256(b"".join(len(d.encode()).to_bytes(8, "little") + d.encode() for d in documents))
    assert counts.text_hash == digest.hexdigest()


def test_documents_cut_in_parts_come_back_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("ladd.tasks.text.tokenizer.Tokenizer.pieces", lambda self, text: iter([text[:200], text[200:]]))
    tokenizer = trained()
    texts = [text[:200] + "\n" + text[200:] for text in ["the fox " * 60, "a", "the dog " * 30]]
    expected = [[*np.concatenate(tokenizer.encode([text[:200], text[200:]])), tokenizer.eos] for text in texts]
    found = encode_documents(datasets.Dataset.from_dict({"text": texts}), tokenizer, 1, tmp_path)
    assert list(found["ids"]) == expected


def test_too_little_text_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not one row"):
        pack_texts(["the fox"], tmp_path / "packed", tokens=64)


PACKING = """
import sys, datasets, pathlib
from ladd.tasks.text.packing import encode_documents
from ladd.tasks.text.tokenizer import Tokenizer
tokenizer = Tokenizer.parse(sys.stdin.read())
texts = datasets.Dataset.from_dict({"text": ["the fox " * 1000] * 100_000})
print("packs", flush=True)
encode_documents(texts, tokenizer, 2, pathlib.Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_workers_end_with_a_process_that_is_killed(tmp_path):
    command = [sys.executable, "-c", PACKING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(trained().json.encode())
        process.stdin.close()
        assert process.stdout.readline() == b"packs\n"
        parent = psutil.Process(process.pid)
        while len(workers := parent.children(recursive=True)) < 2 or not any(tmp_path.rglob("*.arrow")):
            time.sleep(0.1)
        process.kill()
    end = time.monotonic() + 600
    while any(map(lives, workers)):
        assert time.monotonic() < end, workers
        time.sleep(0.05)


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
