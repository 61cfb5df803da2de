"""Assets of a suite, and the tokenizer of a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ladd.assets import fetch_asset, store_folder
from ladd.config import AssetConfig, Block, Suite
from ladd.text.tokenizer import Tokenizer

TOKENIZER = "tokenizer/tokenizer.json"  # within the artefact of a data set


def fetch(suite: Suite, asset: AssetConfig) -> Path:
    """The verified files of an asset."""
    root = Path(suite.root)
    return fetch_asset(asset, store_folder(root), root)


def assets_of(block: Any, key: str = "") -> Iterator[tuple[str, AssetConfig]]:
    """Every asset below a block of the suite, with its key in params.yaml."""
    if isinstance(block, AssetConfig):
        yield key, block
    elif isinstance(block, Block | dict):
        for name, value in block.items() if isinstance(block, dict) else block:
            yield from assets_of(value, f"{key}.{name}".lstrip("."))


def load_tokenizer(data: str) -> Tokenizer:
    """The tokenizer that a data set was packed with."""
    return Tokenizer.load(Path(f"artifacts/data/{data}/{TOKENIZER}"))
