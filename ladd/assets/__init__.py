"""Corpora, tokenizers and models from outside, as verified local files (docs/ASSETS.md)."""

from ladd.assets.fetch import asset_files, asset_folder, assets_of, fetch_asset
from ladd.assets.hub import check_pinned
from ladd.assets.store import listing_hash, store_folder
