"""Assets that lie on this machine already; and what pins any asset: the SHA-256 of a file, or of a folder's listing."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from ladd.errors import AssetError
from ladd.files import file_hash
from ladd.git import main_checkout

if TYPE_CHECKING:
    from ladd.config import AssetConfig
import hashlib
import json
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ladd.config import AssetConfig

logger = logging.getLogger(__name__)


def find_local(asset: AssetConfig, root: Path) -> Path:
    """The file or folder named; hashed on each call, against params.yaml or to say what to write there.

    No verified hash is remembered: a cache by size and time of change would trust a file that was replaced with its
    time kept, and reading 10 GB takes seconds where packing them takes minutes.

    Args:
        asset: its name is relative to ``root``, or absolute.
        root: of the repository, or of one of its work trees: what git does not track is in the main checkout.
    Raises:
        AssetError: nothing is there, or it has another hash.
    """
    try:
        name = Path(asset.name).expanduser()
        path = root / name
        if not path.exists():
            path = main_checkout(root) / name
        there = path.exists()
    except (OSError, RuntimeError) as error:  # a name that is too long, a folder that is closed, no such user behind ~
        raise AssetError(f"asset {asset.name}: it cannot be looked for ({error}); correct the name") from error
    if not there:
        raise AssetError(f"asset {asset.name}: {path} is missing; put the file or folder there, or correct the name")
    found = file_hash(path) if path.is_file() else listing_hash(path)
    if asset.sha256 is None:
        logger.warning("asset %s is not pinned, so DVC cannot see it change; write sha256: %s", asset.name, found)
    else:
        check_hash(asset, found, str(path), "Put the pinned file or folder back")
    return path


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
