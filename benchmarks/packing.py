"""Throughput of packing, ours beside `datasets.map`: same text, tokenizer, blocks and number of processes.

    requirements/install bench
    python -m benchmarks.packing --megabytes 100

The documents are those of suites/text-demo, which come from a package registry, or the .txt files of a folder. They are
repeated until there is as much text as asked for, in one JSONL file that both sides read. Both write blocks to disk.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace

from ladd.assets import fetch_asset, store_folder
from ladd.config import load_suite
from ladd.tasks.text.documents import read_documents
from ladd.tasks.text.packing import pack_corpus
from ladd.tasks.text.tokenizer import Tokenizer

TOKENS = 128


def speeches() -> Path:
    """The corpus of suites/text-demo."""
    folder = Path(__file__).resolve().parents[1] / "suites/text-demo"
    suite = load_suite(folder / "params.yaml")
    root = folder / suite.root
    return fetch_asset(suite.data["sotu"].train.asset, store_folder(root), root)


def write_text(folder: Path, target: Path, megabytes: float) -> tuple[list[str], float]:
    """Write the documents, repeated, as JSONL; return them once, and the size of the text in MB."""
    documents = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.txt"))]
    sizes = [len(document.encode()) for document in documents]
    written, index = 0, 0
    with target.open("w", encoding="utf-8") as file:
        while written < megabytes * 1e6:
            file.write(json.dumps({"text": documents[index % len(documents)]}) + "\n")
            written += sizes[index % len(documents)]
            index += 1
    return documents, written / 1e6


def pack_ours(text: Path, tokenizer: Tokenizer, folder: Path, workers: int) -> int:
    """Number of blocks."""
    corpus = SimpleNamespace(format="jsonl", field="text", encoding="utf-8", detokeniser="none", documents=None)
    documents = read_documents(corpus, [text])
    options = {"tokens": TOKENS, "packing": "framed", "shard": 10_000, "workers": workers}
    return pack_corpus(documents, tokenizer, folder / "ours", **options).blocks


def pack_theirs(text: Path, tokenizer: Tokenizer, folder: Path, workers: int) -> int:
    """The usual way: map a batched tokenisation, then map a grouping over batches; number of blocks."""
    import datasets

    datasets.disable_progress_bars()
    # So that nobody's threads compete with the processes.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    backend, bos, eos = tokenizer.backend, tokenizer.bos, tokenizer.eos

    def tokenise(batch: dict) -> dict:
        encodings = backend.encode_batch_fast(batch["text"], add_special_tokens=False)
        return {"ids": [encoding.ids for encoding in encodings]}

    def group(batch: dict) -> dict:
        stream = list(chain.from_iterable([*ids, eos] for ids in batch["ids"]))
        body = TOKENS - 2
        count = len(stream) // body
        return {"ids": [[bos, *stream[row * body : (row + 1) * body], eos] for row in range(count)]}

    data = datasets.Dataset.from_json(str(text), cache_dir=str(folder / "cache"))
    data = data.map(tokenise, batched=True, batch_size=50, num_proc=workers, remove_columns=["text"])
    data = data.map(group, batched=True, num_proc=workers)
    data.save_to_disk(str(folder / "theirs"), num_proc=workers)
    os.environ.pop("TOKENIZERS_PARALLELISM")
    return len(data)


def measure(name: str, function: Callable[..., int], megabytes: float, *arguments: object) -> float:
    """Wall-clock seconds; prints the throughput."""
    start = time.perf_counter()
    blocks = function(*arguments)
    seconds = time.perf_counter() - start
    print(f"{name:9} {megabytes / seconds:6.2f} MB/s  {seconds:6.1f} s  {blocks} blocks", flush=True)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="folder with .txt files, in any depth, one document each")
    parser.add_argument("--megabytes", type=float, default=100.0, help="text to pack, in MB")
    parser.add_argument("--vocabulary", type=int, default=8192, help="V of the byte-level BPE")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes on either side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        documents, megabytes = write_text(options.folder or speeches(), folder / "text.jsonl", options.megabytes)
        tokenizer = Tokenizer.train(documents, options.vocabulary)
        print(f"{megabytes:.1f} MB, {options.workers} processes, V = {tokenizer.vocabulary}, N = {TOKENS}")
        arguments = (folder / "text.jsonl", tokenizer, folder, options.workers)
        ours = measure("ladd", pack_ours, megabytes, *arguments)
        theirs = measure("datasets", pack_theirs, megabytes, *arguments)
        print(f"ratio     {theirs / ours:6.2f}")


if __name__ == "__main__":
    main()
