"""Blocks and whole corpora."""

import hashlib
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import psutil
import pytest
import torch

from ladd.data.shards import Rows
from ladd.errors import ArtifactError, ConfigError
from ladd.tasks.text.packing import encode_documents, pack, pack_corpus
from tests.tasks.text.builders import SENTENCES, trained

DOCUMENTS = [np.array([1, 2, 3]), np.array([], dtype=np.int64), np.array([4]), np.array([5, 6, 7, 8])]
# joined: 1 2 3 E 4 E 5 6 7 8
BOS, EOS = 90, 91


def packed(documents: list[np.ndarray], tokens: int, packing: str) -> list[list[int]]:
    return [row.tolist() for rows in pack(documents, tokens=tokens, packing=packing, bos=BOS, eos=EOS) for row in rows]


def test_framed_blocks_are_parts_of_the_joined_documents_between_bos_and_eos():
    expected = [[BOS, 1, 2, 3, EOS], [BOS, EOS, 4, EOS, EOS], [BOS, 5, 6, 7, EOS]]
    assert packed(DOCUMENTS, 5, "framed") == expected


def test_plain_blocks_are_parts_of_the_joined_documents():
    assert packed(DOCUMENTS, 4, "plain") == [[1, 2, 3, EOS], [4, EOS, 5, 6]]


def test_a_last_block_that_is_just_full_is_kept_and_no_separator_follows_the_last_document():
    assert packed(DOCUMENTS, 10, "plain") == [[1, 2, 3, EOS, 4, EOS, 5, 6, 7, 8]]
    assert packed(DOCUMENTS, 11, "plain") == []


@pytest.mark.parametrize("gather", [1, 3, 7, 1 << 16])
def test_blocks_do_not_depend_on_how_many_tokens_are_cut_at_a_time(monkeypatch, gather):
    generator = np.random.default_rng(0)
    documents = [generator.integers(80, size=size) for size in generator.integers(0, 30, size=50)]
    stream: list[int] = []
    for document in documents:
        if len(document):
            stream += ([EOS] if stream else []) + document.tolist()
    monkeypatch.setattr("ladd.tasks.text.packing._GATHER", gather)
    expected = [stream[start : start + 8] for start in range(0, len(stream) - 7, 8)]
    assert packed(documents, 8, "plain") == expected
    assert packed(documents, 10, "framed") == [[BOS, *block, EOS] for block in expected]


@pytest.mark.parametrize(("tokens", "packing", "message"), [(2, "framed", "tokens: 2"), (8, "loose", "'loose'")])
def test_impossible_packings_are_refused(tokens, packing, message):
    with pytest.raises(ConfigError, match=message):
        packed(DOCUMENTS, tokens, packing)


def corpus(count: int) -> list[str]:
    """Documents of very different lengths, one of them longer than several batches."""
    generator = np.random.default_rng(0)
    return ["".join(SENTENCES[i] for i in generator.integers(3, size=1 + 40 * (k == 5))) for k in range(count)]


def test_any_number_of_workers_writes_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr("ladd.tasks.text.packing._BATCH", 300)
    tokenizer, contents, counts = trained(), [], []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        counts.append(
            pack_corpus(iter(corpus(60)), tokenizer, folder, tokens=16, packing="framed", shard=50, workers=workers)
        )
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert counts[0] == counts[1]
    assert len(contents[0]) > 1


def test_a_packed_corpus_is_its_text_and_its_counts(tmp_path):
    tokenizer, documents = trained(), corpus(12)
    counts = pack_corpus(documents, tokenizer, tmp_path, tokens=16, packing="framed", shard=50, workers=1)
    rows = Rows.open(tmp_path, torch.device("cpu"))[:]
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


def test_documents_cut_in_parts_come_back_whole(monkeypatch):
    monkeypatch.setattr("ladd.tasks.text.packing._BATCH", 100)
    monkeypatch.setattr("ladd.tasks.text.tokenizer.Tokenizer.pieces", lambda self, text: iter([text[:200], text[200:]]))
    tokenizer = trained()
    documents = [text[:200] + "\n" + text[200:] for text in ["the fox " * 60, "a", "", "the dog " * 30]]
    expected = [np.concatenate(tokenizer.encode([text[:200], text[200:]])) for text in documents]
    encoded = list(encode_documents(documents, tokenizer, 1))
    assert len(encoded) == 4
    assert all(np.array_equal(a, b) for a, b in zip(encoded, expected, strict=True))


def test_too_little_text_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not one row"):
        pack_corpus(["the fox"], trained(), tmp_path, tokens=64, packing="framed", shard=8, workers=1)


def test_memory_does_not_grow_with_the_corpus(tmp_path, monkeypatch):
    monkeypatch.setattr("ladd.tasks.text.packing._BATCH", 2000)
    monkeypatch.setattr("ladd.tasks.text.packing._GATHER", 1000)
    tokenizer, peaks = trained(), []
    for repeats in (100, 100, 1000):  # the first run fills caches
        tracemalloc.start()
        documents = (SENTENCES[index % 3] for index in range(repeats))
        pack_corpus(documents, tokenizer, tmp_path, tokens=16, packing="plain", shard=20, workers=1)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.3 * peaks[1]


def test_readers_do_not_run_ahead_of_the_workers(monkeypatch):
    monkeypatch.setattr("ladd.tasks.text.packing._BATCH", 50)
    read = 0

    def documents():
        nonlocal read
        for read in range(1, 1001):  # noqa: B007 (counts what was read)
            yield SENTENCES[0]

    encoded = encode_documents(documents(), trained(), 2)
    next(encoded)
    assert read < 20
    encoded.close()


def test_workers_start_without_torch():
    program = "import sys, ladd.tasks.text.packing as packing; packing._start_worker(sys.stdin.read()); "
    program += "print(packing._encode_here(['the fox'])[1], 'torch' in sys.modules)"
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, input=trained().json, capture_output=True, text=True, check=True)
    length = len(trained().encode(["the fox"])[0])
    assert result.stdout == f"[{length}] False\n"


PACKING = """
import itertools, sys
from ladd.tasks.text.packing import encode_documents
from ladd.tasks.text.tokenizer import Tokenizer
tokenizer = Tokenizer.parse(sys.stdin.read())
for _ in encode_documents(itertools.repeat("the fox " * 1000), tokenizer, 2):
    print("packed", flush=True)
"""


def test_workers_end_with_a_process_that_is_killed():
    with subprocess.Popen([sys.executable, "-c", PACKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(trained().json.encode())
        process.stdin.close()
        assert process.stdout.readline() == b"packed\n"
        workers = psutil.Process(process.pid).children(recursive=True)
        assert len(workers) >= 2
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
