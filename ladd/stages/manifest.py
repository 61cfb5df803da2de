"""manifest.json: what a stage wrote and from what, so that the next stage can trust it without reading all of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ladd.errors import ArtifactError
from ladd.files import file_hash

MANIFEST = "manifest.json"
# Files that hold how long sampling took: of the rest, every byte is a function of the suite.
TIMED = ("results/sample/", "results/evaluate/", "results/compare.", "results/report.html")
CODE_REMEDY = "it is code: root in params.yaml must lead from this folder to the repository, and that be whole"


def is_timed(path: str) -> bool:
    """Whether a file holds seconds. Those of the references do not: nothing is sampled from a model there."""
    return path.startswith(TIMED) and "/reference-" not in path


def write_manifest(folder: Path, *, stage: str, fingerprint: str, parameters: dict) -> None:
    """Describe the files of a finished output folder. It holds no times and no paths: equal work gives equal bytes."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    content = {
        "stage": stage,
        "fingerprint": fingerprint,
        "parameters": parameters,
        "files": {p.relative_to(folder).as_posix(): file_hash(p) for p in files},
    }
    (folder / MANIFEST).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def content_hash(path: Path) -> str:
    """SHA-256 of a file, of a stage output or a part of one (through its manifest), or of a folder of sources.

    Raises:
        ArtifactError: it is missing, or an output folder has no manifest.
    """
    if path.is_file():
        return file_hash(path)
    if not path.is_dir():
        made = path.parts[0] in ("artifacts", "results")
        raise ArtifactError(f"{path} is missing; {'run `dvc repro` to make it' if made else CODE_REMEDY}")
    if path.parts[0] == "artifacts":
        return _hash_by_manifest(path)
    files = sorted(p for p in path.rglob("*") if p.is_file() and not _is_cache(p.relative_to(path)))
    listing = [(p.relative_to(path).as_posix(), file_hash(p)) for p in files]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _hash_by_manifest(path: Path) -> str:
    """Hash of a stage output, or of a folder within one: then only the files below it count."""
    output = next((folder for folder in (path, *path.parents) if (folder / MANIFEST).is_file()), None)
    if output is None:
        raise ArtifactError(f"{path} has no {MANIFEST}: it is incomplete; delete it and run `dvc repro`")
    if output == path:
        return file_hash(path / MANIFEST)
    below = path.relative_to(output).as_posix() + "/"
    files = json.loads((output / MANIFEST).read_text())["files"]
    listing = [(name, digest) for name, digest in files.items() if name.startswith(below)]
    return hashlib.sha256(json.dumps(listing).encode()).hexdigest()


def _is_cache(path: Path) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)
