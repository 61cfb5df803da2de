"""Latent precomputation: one sorted pass of a frozen encoder for all views, against a pass per view in the given order.

    python -m benchmarks.latents --blocks 1024

Blocks, encoder and views are those of suites/text-demo, which fetches them from a package registry.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.measure import in_turns
from benchmarks.speed import show
from ladd.assets import asset_folder
from ladd.config import load_suite
from ladd.latents.frozen import FrozenTextEncoder
from ladd.latents.reduction import truncate
from ladd.tasks.text.build import make_tokenizer, training_documents
from ladd.tasks.text.settings import TextDataConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    os.chdir(Path(__file__).resolve().parents[1] / "suites/text-demo")
    suite = load_suite()
    torch.set_num_threads(suite.compute.threads)
    data, config = suite.data["sotu"], suite.encoders["minilm"]
    assert isinstance(data, TextDataConfig)
    with tempfile.TemporaryDirectory() as scratch:
        train, validation = training_documents(suite, data, Path(scratch))
        tokenizer = make_tokenizer(suite, "sotu", data, train)
        ids = np.concatenate(tokenizer.encode(list(validation[:12]["text"])))
    x = torch.from_numpy(ids[: options.blocks * data.tokens].astype(np.int64)).view(-1, data.tokens)
    folder = asset_folder(config.asset, Path(suite.root)) / config.folder
    encoder = FrozenTextEncoder.load(folder, tokenizer, batch=config.batch)
    reductions = {name: truncate(encoder.hidden, view.width) for name, view in config.views.items()}

    def ours() -> None:
        for chunk in x.split(16 * config.batch):
            encoder.views(chunk, config.views, reductions)

    def theirs() -> None:
        for name, view in config.views.items():
            for batch in x.split(config.batch):
                encoder.views(batch, {name: view}, reductions)

    print(f"\nlatents of {len(x)} blocks, N {data.tokens}, {len(config.views)} views, {config.folder}")
    fast, slow = in_turns(torch.device("cpu"), options.repeats, ours, theirs)
    show("latent precomputation", fast, slow)


if __name__ == "__main__":
    main()
