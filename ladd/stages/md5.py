"""The hashes under which DVC stores outputs, for tags of runs; no large file is read twice."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ladd.files import write_atomically

KNOWN = Path(".work/md5.json")
REMEMBERED = 1 << 20  # bytes; smaller files are read again

Known = dict[str, list]  # by path: the stamp of a file, and its md5


def dvc_hash(path: Path, known: Path | None = KNOWN) -> str:
    """The md5 under which DVC stores an output: that of the file, or that of a folder's listing with ".dir" added.

    The inputs of a training may have a hundred gigabytes, and it is started again after every preemption. DVC has their
    hashes too, but dvc.lock says what was recorded last and not what lies there now.

    Args:
        path: file or folder.
        known: file of hashes, each good for as long as size, inode and both times of its file stay; DVC asks for less.
            None reads everything.
    """
    before = _read(known)
    found = dict(before)
    if path.is_file():
        result = _file_md5(path, found)
    else:
        files = sorted(p for p in path.rglob("*") if p.is_file())
        listing = [{"md5": _file_md5(p, found), "relpath": p.relative_to(path).as_posix()} for p in files]
        listing.sort(key=lambda entry: entry["relpath"])  # as strings: DVC's order, which is not that of Path
        text = json.dumps(listing, sort_keys=True).encode()
        result = hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"
    if known is not None and found != before:
        write_atomically(known, json.dumps(found).encode())
    return result


def _read(known: Path | None) -> Known:
    if known is None or not known.is_file():
        return {}
    try:
        return json.loads(known.read_text())
    except ValueError:  # cut off by a failing disk: what it knew is found again
        return {}


def _file_md5(path: Path, known: Known) -> str:
    """MD5 of a file, a part at a time."""
    stat = path.stat()
    stamp = [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]
    entry = known.get(path.as_posix())
    if entry is not None and entry[:-1] == stamp:
        return entry[-1]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if stat.st_size >= REMEMBERED:
        known[path.as_posix()] = [*stamp, digest]
    return digest
