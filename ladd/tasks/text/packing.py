"""Documents to blocks of N token ids (paper, Section 5.2): tokenise in parallel, join, cut, write.

Everything streams, so memory is that of one document, one shard and a few batches per worker, however large the corpus.
A long document is tokenised in parts (see `Tokenizer.pieces`); only where a tokenizer rules that out, or the text is
not in words with spaces between them, does it go through in one piece, at some 110 bytes of memory per byte.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from ladd.errors import ConfigError
from ladd.tasks.text.tokenizer import Tokenizer

_BATCH = 1 << 20  # characters that a worker gets at a time
_GATHER = 1 << 16  # tokens that are cut into blocks at a time

Encoded = tuple[np.ndarray, list[int]]  # ids of several texts in one int32 array, and the number of ids of each


def pack(ids: Iterable[np.ndarray], *, tokens: int, packing: str, bos: int, eos: int) -> Iterator[np.ndarray]:
    """Blocks of a stream of documents.

    The documents are joined with EOS between them, those without a token left out. "framed" cuts this stream every
    N - 2 ids and puts each part between BOS and EOS; "plain" cuts it every N ids. What is left at the end, less than a
    block, is dropped.

    Args:
        ids: of each document, int (n,).
        tokens: N.
        packing: "framed" or "plain".
        bos: id of BOS.
        eos: id of EOS.
    Yields:
        Blocks, int32 (any number, N).
    Raises:
        ConfigError: there is no such packing, or N leaves no room for a token.
    """
    if packing not in ("framed", "plain"):
        raise ConfigError(f"packing: {packing!r} is neither 'framed' nor 'plain'")
    body = tokens - 2 if packing == "framed" else tokens
    if body < 1:
        raise ConfigError(f"tokens: {tokens} leaves no room for text with packing {packing!r}")
    for stream in _whole_bodies(ids, body, np.array([eos], dtype=np.int32)):
        if packing == "framed":
            yield np.pad(stream, ((0, 0), (1, 1)), constant_values=((0, 0), (bos, eos)))
        else:
            yield stream


def _whole_bodies(ids: Iterable[np.ndarray], body: int, separator: np.ndarray) -> Iterator[np.ndarray]:
    """The joined documents as int32 (any number, body)."""
    parts: list[np.ndarray] = []
    held, first = 0, True
    for document in ids:
        if not len(document):
            continue
        parts += [document] if first else [separator, document]
        held += len(document) + (not first)
        first = False
        if held >= max(body, _GATHER):
            stream = np.concatenate(parts, dtype=np.int32)
            held = len(stream) % body
            yield stream[: len(stream) - held].reshape(-1, body)
            parts = [stream[len(stream) - held :].copy()]  # a view would keep the whole stream
    if held >= body:
        stream = np.concatenate(parts, dtype=np.int32)
        yield stream[: len(stream) // body * body].reshape(-1, body)


@dataclass(frozen=True)
class Packed:
    """What was packed; tokens are those of the documents, without BOS and EOS."""

    documents: int
    bytes: int
    tokens: int
    blocks: int
    text_hash: str


class _Tally:
    """Counts what passes; the hash is over the documents, each with its length, so that borders count too."""

    def __init__(self) -> None:
        self.documents = self.bytes = self.tokens = 0
        self.hash = hashlib.sha256()

    def texts(self, documents: Iterable[str]) -> Iterator[str]:
        for document in documents:
            content = document.encode()
            self.hash.update(len(content).to_bytes(8, "little"))
            self.hash.update(content)
            self.documents += 1
            self.bytes += len(content)
            yield document

    def ids(self, arrays: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for array in arrays:
            self.tokens += len(array)
            yield array


def pack_corpus(
    documents: Iterable[str],
    tokenizer: Tokenizer,
    folder: Path,
    *,
    tokens: int,
    packing: str,
    shard: int,
    workers: int,
) -> Packed:
    """Tokenise, pack and write a corpus as shards; the bytes are the same for any number of workers.

    Args:
        documents: a stream.
        tokenizer: of the data set.
        folder: for the shards.
        tokens: N.
        packing: see `pack`.
        shard: blocks per shard.
        workers: processes that tokenise; 1 tokenises in this process.
    Raises:
        ArtifactError: there is less text than one block.
        ConfigError: see `pack`.
    """
    from ladd.data.shards import write_shards  # here, as it imports torch, which the workers do without

    tally = _Tally()
    ids = tally.ids(encode_documents(tally.texts(documents), tokenizer, workers))
    blocks = pack(ids, tokens=tokens, packing=packing, bos=tokenizer.bos, eos=tokenizer.eos)
    count = write_shards(folder, blocks, tokens=tokens, vocabulary=tokenizer.vocabulary, shard=shard)
    return Packed(tally.documents, tally.bytes, tally.tokens, count, tally.hash.hexdigest())


def encode_documents(documents: Iterable[str], tokenizer: Tokenizer, workers: int) -> Iterator[np.ndarray]:
    """Ids of each document, int32 (n,), in order, without special tokens."""
    closing: deque[list[bool]] = deque()
    parts: list[np.ndarray] = []
    for ids, lengths in _encode_batches(_batches(documents, tokenizer, closing), tokenizer, workers):
        start = 0
        for length, closes in zip(lengths, closing.popleft(), strict=True):
            parts.append(ids[start : start + length])
            start += length
            if closes:
                yield parts[0] if len(parts) == 1 else np.concatenate(parts)
                parts = []


def _batches(documents: Iterable[str], tokenizer: Tokenizer, closing: deque[list[bool]]) -> Iterator[list[str]]:
    """Batches of texts of about the same size; ``closing`` gets, for each batch, which texts end a document."""
    texts: list[str] = []
    closes: list[bool] = []
    size = 0
    for document in documents:
        for piece in tokenizer.pieces(document):
            if size >= _BATCH:
                closing.append(closes)
                yield texts
                texts, closes, size = [], [], 0
            texts.append(piece)
            closes.append(False)
            size += len(piece)
        closes[-1] = True
    if texts:
        closing.append(closes)
        yield texts


def _encode_batches(batches: Iterable[list[str]], tokenizer: Tokenizer, workers: int) -> Iterator[Encoded]:
    """The batches tokenised, in order; a few per worker are under way, so that a fast reader cannot run ahead."""
    if workers == 1:
        yield from (_encode(tokenizer, batch) for batch in batches)
        return
    # Not a plain fork, which would copy the locks of torch's and tokenizers' threads in whatever state they are; nor
    # "spawn", where every worker of every corpus would import the main module anew.
    context = multiprocessing.get_context("forkserver")
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(tokenizer.json,))
    pending: deque[Future[Encoded]] = deque()
    try:
        for batch in batches:
            pending.append(pool.submit(_encode_here, batch))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _encode(tokenizer: Tokenizer, texts: list[str]) -> Encoded:
    ids = tokenizer.encode(texts)
    return np.concatenate(ids), [len(array) for array in ids]


_worker_tokenizer: Tokenizer


def _start_worker(text: str) -> None:
    """Make a worker's tokenizer once; its own threads would only compete with the other workers."""
    global _worker_tokenizer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _worker_tokenizer = Tokenizer.parse(text)


def _end_with_parent() -> None:
    """A worker waits for work for ever, even from a process that was killed."""
    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)


def _encode_here(texts: list[str]) -> Encoded:
    return _encode(_worker_tokenizer, texts)
