"""The folder that keeps fetched assets. What is in it is whole, and never changes."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from ladd.files import replace_folder
from ladd.git import main_checkout

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
