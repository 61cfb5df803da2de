"""Documents to blocks of N token ids (paper, Section 5.2): tokenise in parallel, join, cut, write.

Memory is that of a few batches of documents and one shard, however large the corpus: in between, all is on disk. A long
document is tokenised in parts (see `Tokenizer.pieces`); only where a tokenizer rules that out, or the text is not in
words with spaces between them, does it go through in one piece, at some 110 bytes of memory per byte.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ladd.data.shards import write_shards
from ladd.errors import ConfigError
from ladd.tasks.text.documents import BATCH, map_options
from ladd.tasks.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from datasets import Dataset
import torch
from torch import Tensor

from ladd.data.shards import Rows


@dataclass(frozen=True)
class Packed:
    """What was packed; tokens are those of the documents, without BOS and EOS."""

    documents: int
    bytes: int
    tokens: int
    blocks: int
    text_hash: str  # over the documents, each with its length, so that borders count too


def pack_corpus(
    documents: Dataset,
    tokenizer: Tokenizer,
    folder: Path,
    *,
    tokens: int,
    packing: str,
    shard: int,
    workers: int,
    scratch: Path,
) -> Packed:
    """Tokenise, pack and write a corpus as shards; the bytes are the same for any number of workers.

    Args:
        documents: column text.
        tokens: N.
        packing: see `pack`.
        shard: blocks per shard.
        workers: processes that tokenise; 1 tokenises in this process.
        scratch: folder for the ids before they are cut.
    Raises:
        ArtifactError: there is less text than one block.
        ConfigError: see `pack`.
    """
    count, size, text_hash = _tally(documents)
    ids = encode_documents(documents, tokenizer, workers, scratch)
    blocks = pack(_streams(ids), tokens=tokens, packing=packing, bos=tokenizer.bos, eos=tokenizer.eos)
    written = write_shards(folder, blocks, tokens=tokens, vocabulary=tokenizer.vocabulary, shard=shard)
    total = sum(len(stream) for stream in _streams(ids)) - len(ids)  # but for the EOS of each
    return Packed(count, size, total, written, text_hash)


def _tally(documents: Dataset) -> tuple[int, int, str]:
    """Number of documents, bytes, and hash."""
    digest, size = hashlib.sha256(), 0
    for batch in documents.iter(BATCH):
        for text in batch["text"]:
            content = text.encode()
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
            size += len(content)
    return len(documents), size, digest.hexdigest()


def encode_documents(documents: Dataset, tokenizer: Tokenizer, workers: int, scratch: Path) -> Dataset:
    """Ids of each document that has a token, with EOS behind them: column ids, int32."""
    from datasets import Features, Sequence, Value  # here: it takes as long to import as torch

    return documents.map(
        _encode,
        fn_kwargs={"tokenizer": tokenizer.json, "parent": os.getpid()},
        remove_columns=["text"],
        features=Features({"ids": Sequence(Value("int32"))}),
        **map_options(workers, scratch, "tokens"),
    )


def _encode(batch: dict[str, list[str]], *, tokenizer: str, parent: int) -> dict[str, list[np.ndarray]]:
    if os.getpid() != parent:
        _be_a_worker(parent)
    encoder = _tokenizer(tokenizer)
    pieces = [list(encoder.pieces(text)) for text in batch["text"]]
    encoded = iter(encoder.encode([piece for parts in pieces for piece in parts]))
    eos = np.array([encoder.eos], dtype=np.int32)
    ids = [np.concatenate([*(next(encoded) for _ in parts), eos]) for parts in pieces]
    return {"ids": [each for each in ids if len(each) > 1]}


@cache
def _tokenizer(text: str) -> Tokenizer:
    return Tokenizer.parse(text)


@cache
def _be_a_worker(parent: int) -> None:
    """A worker's own threads would only compete with the other workers; and it must not wait for a killed parent."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    wait([os.pidfd_open(parent)])
    os._exit(1)


def _streams(ids: Dataset) -> Iterator[np.ndarray]:
    """The joined ids of some documents at a time, as views of the file."""
    for table in ids.with_format("arrow").iter(BATCH):
        yield table["ids"].combine_chunks().flatten().to_numpy()


def pack(streams: Iterable[np.ndarray], *, tokens: int, packing: str, bos: int, eos: int) -> Iterator[np.ndarray]:
    """Blocks of a stream of documents.

    "framed" cuts the stream every N - 2 ids and puts each part between BOS and EOS; "plain" cuts it every N ids. What
    is left at the end, less than a block, is dropped, and so is the EOS of the last document, which separates nothing.

    Args:
        streams: parts of the stream of documents, each document with EOS behind it, int (any number,).
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
    rest = np.empty(0, dtype=np.int32)
    for part in streams:
        stream = np.concatenate([rest, part], dtype=np.int32)
        cut = max(len(stream) - 1, 0) // body * body  # the last id may be the EOS of the last document
        blocks, rest = stream[:cut].reshape(-1, body), stream[cut:].copy()  # a view would keep the whole stream
        yield np.pad(blocks, ((0, 0), (1, 1)), constant_values=((0, 0), (bos, eos))) if packing == "framed" else blocks


_BATCH = 4096  # blocks read at a time


def block_documents(rows: Rows, wanted: Tensor, *, packing: str, eos: int) -> Tensor:
    """The document that most tokens of a block are of; the first such one.

    Args:
        rows: all blocks of a corpus, (M, N), as `pack` made them.
        wanted: int64 (n,), which blocks.
        packing: "framed" or "plain".
        eos: id of EOS.
    Returns:
        int64 (n,), the number of each block's document, from 0, in the order of the corpus. Documents without a token
        are not counted.
    """
    body = slice(1, -1) if packing == "framed" else slice(None)
    counts = [
        (rows[start : start + _BATCH][:, body] == eos).sum(dim=1) for start in range(0, int(wanted.max()) + 1, _BATCH)
    ]
    ended = torch.cat(counts)
    before = ended.cumsum(dim=0) - ended
    ends = (rows[wanted][:, body] == eos).long()
    # An EOS is of the document that it ends.
    documents = before[wanted.to(before.device)][:, None] + ends.cumsum(dim=1) - ends
    return documents.mode(dim=1).values
