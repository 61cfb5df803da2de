"""The folder that keeps fetched assets, where what is there is whole and never changes; assets that lie on this machine
already; and what pins any asset: the SHA-256 of a file, or of a folder's listing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ladd.errors import AssetError
from ladd.files import file_hash, replace_folder
from ladd.git import main_checkout

if TYPE_CHECKING:
    from ladd.config import AssetConfig

log = logging.getLogger(__name__)


def store_folder(root: Path) -> Path:
    """$LADD_ASSETS, which several checkouts can share, or ``.assets`` in the main checkout of the repository.

    Args:
        root: of the repository; a relative $LADD_ASSETS starts there.
    """
    named = os.environ.get("LADD_ASSETS")
    return root / Path(named).expanduser() if named else main_checkout(root) / ".assets"


def make_once(target: Path, make: Callable[[Path], Path]) -> Path:
    """A folder that is there as a whole or not at all; that it is there is the mark that it was verified.

    Args:
        target: made by one rename, by one process, while others that want it wait.
        make: gets an empty folder beside the target, and returns the folder in it that becomes the target.
    """
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{target.name}-"
    with _locked(target.with_name(f".{target.name}.lock")):
        if target.is_dir():  # made while this process waited
            return target
        for stale in target.parent.glob(f"{prefix}*"):  # of a killed process: one at work would have the lock
            shutil.rmtree(stale)
        scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix))
        try:
            replace_folder(make(scratch), target)
        finally:
            shutil.rmtree(scratch)
    return target


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:  # it stays: another process may wait on it
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process that fetches the same asset (%s)", path)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


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
        log.warning("asset %s is not pinned, so DVC cannot see it change; write sha256: %s", asset.name, found)
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
