"""Hashes of files that are remembered: no large file is read twice for them as long as it stays as it is."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ladd.files import write_atomically

KNOWN = Path(".work/hashes.json")
REMEMBERED = 1 << 20  # bytes; smaller files are read again
_PART = 1 << 20  # bytes that are read at a time

Known = dict[str, list]  # by path: the stamp of a file, and its hashes


class Hashes(NamedTuple):
    """Of one file, in hexadecimal."""

    md5: str  # by which DVC stores it
    sha256: str  # by which manifests name it


@contextlib.contextmanager
def remembered(known: Path | None = KNOWN) -> Iterator[Callable[[Path], Hashes]]:
    """A function that gives the hashes of a file.

    Args:
        known: file of hashes, each good for as long as size, inode and both times of its file stay; DVC asks for less.
            None reads everything.
    """
    before, new = _read(known), Known()

    def hashes(path: Path) -> Hashes:
        stat = path.stat()
        stamp = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
        entry = new.get(path.as_posix()) or before.get(path.as_posix())
        if isinstance(entry, list) and len(entry) == len(stamp) + len(Hashes._fields) and entry[: len(stamp)] == stamp:
            return Hashes(*entry[len(stamp) :])
        found = _compute(path)
        if stat.st_size >= REMEMBERED:
            new[path.as_posix()] = [*stamp, *found]
        return found

    try:
        yield hashes
    finally:
        if known is not None and new:
            with contextlib.suppress(OSError):  # where it cannot be kept, the files are read again
                write_atomically(known, json.dumps(_read(known) | new).encode())


def _read(known: Path | None) -> Known:
    if known is None or not known.is_file():
        return {}
    try:
        found = json.loads(known.read_text())
    except ValueError:  # cut off by a failing disk: what it knew is found again
        return {}
    return found if isinstance(found, dict) else {}


def _compute(path: Path) -> Hashes:
    """Both hashes in one reading, a part at a time."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            md5.update(part)
            sha256.update(part)
    return Hashes(md5.hexdigest(), sha256.hexdigest())
