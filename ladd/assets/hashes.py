"""What pins an asset: the SHA-256 of a file, or of the listing of a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ladd.errors import AssetError
from ladd.files import file_hash

if TYPE_CHECKING:
    from ladd.config import AssetConfig


def listing_hash(folder: Path, files: Iterable[Path] | None = None) -> str:
    """SHA-256, in hexadecimal, of the sorted list of (relative path, SHA-256 of the content).

    Args:
        folder: that the paths are relative to. Empty folders, times and permissions do not count.
        files: of the folder; all of them where None.
    """
    chosen = folder.rglob("*") if files is None else files
    # Sorted as strings: the order of Path depends on the system.
    listing = sorted((path.relative_to(folder).as_posix(), file_hash(path)) for path in chosen if path.is_file())
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def check_hash(asset: AssetConfig, found: str, what: str, remedy: str) -> None:
    """Compare with the hash in params.yaml.

    Raises:
        AssetError: they differ; it names both, and how to accept the new one.
    """
    if found != asset.sha256:
        raise AssetError(
            f"asset {asset.name}: {what} has sha256 {found}, but params.yaml says {asset.sha256}. {remedy}, "
            f"or accept what was found: set sha256 to {found}"
        )
