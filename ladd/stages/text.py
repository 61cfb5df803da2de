"""Assets of a suite, and the tokenizer of a data set."""

from __future__ import annotations

from pathlib import Path

from ladd.assets import fetch_asset, store_folder
from ladd.config import AssetConfig, Suite
from ladd.text.tokenizer import Tokenizer

TOKENIZER = "tokenizer/tokenizer.json"  # within the artefact of a data set


def fetch(suite: Suite, asset: AssetConfig) -> Path:
    """The verified files of an asset."""
    root = Path(suite.root)
    return fetch_asset(asset, store_folder(root), root)


def load_tokenizer(data: str) -> Tokenizer:
    """The tokenizer that a data set was packed with."""
    return Tokenizer.load(Path(f"artifacts/data/{data}/{TOKENIZER}"))
