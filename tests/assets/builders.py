"""Small assets made by hand, and a package index without a network."""

import hashlib
import zipfile
from pathlib import Path
from types import SimpleNamespace

FILE = "words-1.0-py3-none-any.whl"
CONTENT = {
    "words/data/a.txt": "first",
    "words/data/deep/b.txt": "second",
    "words/data/c.csv": "1,2",
    "words/__init__.py": "raise SystemExit('a wheel is never imported')",
}


def build_wheel(folder: Path, file: str = FILE, content: dict[str, str] = CONTENT) -> Path:
    """A wheel that pip takes, whatever Python it says that it needs."""
    name, version, *tags = file.removesuffix(".whl").split("-")
    information = f"{name}-{version}.dist-info"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / file, "w") as archive:
        for path, text in content.items():
            archive.writestr(path, text)
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nRequires-Python: >=3.99\n"
        archive.writestr(f"{information}/METADATA", metadata + "Requires-Dist: no-such-package\n")
        archive.writestr(f"{information}/WHEEL", f"Wheel-Version: 1.0\nTag: {'-'.join(tags)}\n")
        archive.writestr(f"{information}/RECORD", "")
    return folder / file


def sha256(path: Path) -> str:
    """Written out here, so that the tests do not lean on what they test."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wheel_asset(path: Path, **changes) -> SimpleNamespace:
    """What params.yaml says of a wheel."""
    values = {"source": "wheel", "name": "words", "revision": "1.0", "file": path.name, "kind": None}
    return SimpleNamespace(**values | {"sha256": sha256(path)} | changes)


def hub_asset(**changes) -> SimpleNamespace:
    """What params.yaml says of a repository of the hub."""
    values = {"source": "hub", "name": "org/corpus", "revision": "c" * 40, "file": None, "kind": "dataset"}
    return SimpleNamespace(**values | {"branch": None, "sha256": None} | changes)


def path_asset(name: str, sha256: str | None = None) -> SimpleNamespace:
    """What params.yaml says of local files."""
    return SimpleNamespace(source="path", name=name, revision=None, file=None, kind=None, sha256=sha256)
