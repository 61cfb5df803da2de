"""The hashes under which DVC stores outputs, for tags of runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ladd.stages.hashes import KNOWN, remembered


def dvc_hash(path: Path, known: Path | None = KNOWN) -> str:
    """The md5 under which DVC stores an output: that of the file, or that of a folder's listing with ".dir" added.

    The inputs of a training may have a hundred gigabytes, and it is started again after every preemption. DVC has
    their hashes too, but dvc.lock says what was recorded last and not what lies there now.

    Args:
        known: file of hashes that need not be computed again (see `remembered`). None reads everything.
    """
    with remembered(known) as hashes:
        if path.is_file():
            return hashes(path).md5
        files = sorted(p for p in path.rglob("*") if p.is_file())
        listing = [{"md5": hashes(p).md5, "relpath": p.relative_to(path).as_posix()} for p in files]
    listing.sort(key=lambda entry: entry["relpath"])  # as strings: DVC's order, which is not that of Path
    text = json.dumps(listing, sort_keys=True).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"
