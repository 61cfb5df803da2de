"""Hashes of files, and manifest.json: what a stage wrote, so that the next one trusts it without reading all of it."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ladd.errors import ArtifactError
from ladd.files import file_hash, stamp, write_atomically

KNOWN = Path(".work/hashes.json")
REMEMBERED = 1 << 20  # bytes; smaller files are read again
_PART = 1 << 20  # bytes that are read at a time

Known = dict[str, list]  # by path: the stamp of a file, and its hashes
MANIFEST = "manifest.json"


class Hashes(NamedTuple):
    """Of one file, in hexadecimal."""

    md5: str  # by which DVC stores it
    sha256: str  # by which manifests name it


@contextlib.contextmanager
def remembered(known: Path | None = KNOWN) -> Iterator[Callable[[Path], Hashes]]:
    """A function that gives the hashes of a file. ``known``: file of hashes, each good for as long as size, inode
    and both times of its file stay; DVC asks for less. None reads everything."""
    before, new = _read(known), Known()

    def hashes(path: Path) -> Hashes:
        now = stamp(path)
        entry = new.get(path.as_posix()) or before.get(path.as_posix())
        if isinstance(entry, list) and len(entry) == len(now) + len(Hashes._fields) and entry[: len(now)] == now:
            return Hashes(*entry[len(now) :])
        found = _compute(path)
        if now[0] >= REMEMBERED:
            new[path.as_posix()] = [*now, *found]
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


def dvc_hash(path: Path, known: Path | None = KNOWN) -> str:
    """The md5 under which DVC stores an output: that of the file, or that of a folder's listing with ".dir" added.

    The inputs of a training may have a hundred gigabytes, and it is started again after every preemption. DVC has
    their hashes too, but dvc.lock says what was recorded last and not what lies there now. ``known``: file of hashes
    that need not be computed again (see `remembered`). None reads everything."""
    with remembered(known) as hashes:
        if path.is_file():
            return hashes(path).md5
        files = sorted(p for p in path.rglob("*") if p.is_file())
        listing = [{"md5": hashes(p).md5, "relpath": p.relative_to(path).as_posix()} for p in files]
    listing.sort(key=lambda entry: entry["relpath"])  # as strings: DVC's order, which is not that of Path
    text = json.dumps(listing, sort_keys=True).encode()
    return hashlib.md5(text, usedforsecurity=False).hexdigest() + ".dir"


def write_manifest(folder: Path, *, stage: str) -> None:
    """Describe the files of a finished output folder. Equal files have equal manifests, whatever made them.

    So what reads them does not run again where a stage ran again and came to the same."""
    content = {"stage": stage, "files": {name: file_hash(folder / name) for name in _names(folder)}}
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def content_hash(path: Path) -> str:
    """SHA-256 of a file, of a stage output or a part of one (through its manifest), or of a folder of results.
    Raises ArtifactError: it is missing, or an output folder has no manifest."""
    if path.is_file():
        return file_hash(path)
    if not path.is_dir():
        raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
    if is_artifact(path):
        return _hash_by_manifest(path)
    files = sorted(p for p in path.rglob("*") if p.is_file() and not _is_cache(p.relative_to(path)))
    return hashlib.sha256(repr([(p.name, file_hash(p)) for p in files]).encode()).hexdigest()


def is_artifact(path: Path) -> bool:
    """Whether it is an output with a manifest, or lies in one."""
    return path.parts[0] == "artifacts"


def check_outputs(paths: Iterable[Path]) -> None:
    """Hold stage outputs, or parts of them, against their manifests; large files are read once (see `remembered`).
    Raises ArtifactError: one of them or a file of it is missing, is not what the manifest says, or is not in it."""
    with remembered() as hashes:
        for path in paths:
            if not path.exists():
                raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
            _check_output(path, hashes)


def _check_output(path: Path, hashes: Callable[[Path], Hashes]) -> None:
    output = _output_of(path)
    remedy = f"delete {output} and run `dvc repro`, which restores it or makes it again"
    listed = {name: digest for name, digest in _listed(output).items() if (output / name).is_relative_to(path)}
    found = [path.relative_to(output).as_posix()] if path.is_file() else _names(output, path)
    if missing := sorted(listed.keys() - set(found)):
        raise ArtifactError(f"{output / missing[0]} is missing, but {output / MANIFEST} names it; {remedy}")
    for name in found:
        if name not in listed:
            if _is_cache(Path(name)):
                continue
            raise ArtifactError(f"{output / name} is not in {output / MANIFEST}; delete it, or {remedy}")
        if (actual := hashes(output / name).sha256) != listed[name]:
            raise ArtifactError(
                f"{output / name} has sha256 {actual}, and {output / MANIFEST} says {listed[name]}: it is damaged or "
                f"was changed; {remedy}"
            )


def _names(output: Path, below: Path | None = None) -> list[str]:
    """Files of an output, or of a folder in it, by their path in the output."""
    files = sorted(p for p in (below or output).rglob("*") if p.is_file() and p.name != MANIFEST)
    return [p.relative_to(output).as_posix() for p in files]


def _output_of(path: Path) -> Path:
    """The output that a path is or lies in. Raises ArtifactError: none there has a manifest."""
    output = next((folder for folder in (path, *path.parents) if (folder / MANIFEST).is_file()), None)
    if output is None:
        raise ArtifactError(f"{path} has no {MANIFEST}: it is incomplete; delete it and run `dvc repro`")
    return output


def _listed(output: Path) -> dict[str, str]:
    """Hashes of the files of an output, by its manifest. Raises ArtifactError: that is none."""
    path = output / MANIFEST
    try:
        files = json.loads(path.read_text())["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise ArtifactError(f"{path} is damaged; delete {output} and run `dvc repro`") from None


def _hash_by_manifest(path: Path) -> str:
    """Hash of a stage output, or of a folder within one: then only the files below it count."""
    output = _output_of(path)
    if output == path:
        return file_hash(path / MANIFEST)
    below = path.relative_to(output).as_posix() + "/"
    listing = [(name, digest) for name, digest in _listed(output).items() if name.startswith(below)]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _is_cache(path: Path) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)
