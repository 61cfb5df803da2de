"""Corpora, tokenizers and models from outside, as verified local files (docs/ASSETS.md)."""

from ladd.assets.fetch import asset_files, asset_folder, assets_of, fetch_asset
from ladd.assets.hub import check_pinned
from ladd.assets.local import listing_hash
from ladd.assets.store import store_folder

__all__ = ["asset_files", "asset_folder", "assets_of", "check_pinned", "fetch_asset", "listing_hash", "store_folder"]
