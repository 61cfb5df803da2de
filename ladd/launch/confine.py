"""What a request may name: suites, launches and files, all of them inside the repository.

Forms, flows and tracked runs come from a server, and what comes from there names no place outside.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ladd.config.messages import shown
from ladd.errors import ConfigError

NAME = r"[A-Za-z0-9][A-Za-z0-9-]{0,99}"
SUITE = rf"\.|suites/{NAME}"  # the folder of a suite, from the root of the repository
FILES = ("params.yaml", "dvc.yaml")  # of a suite: what runs, and with what


def check_name(name: str, what: str) -> None:
    """Refuse what is no plain name, as it becomes part of a path. Raises ConfigError: it is none."""
    if not re.fullmatch(NAME, name):
        raise ConfigError(
            f"{what} {shown(name)}: write letters, digits and hyphens, at most 100, a letter or digit first"
        )


def suite_folder(root: Path, suite: str) -> Path:
    """Folder of a suite of this repository. Raises ConfigError: it is something else, leads out of the repository
    through a link, or is not there."""
    if not re.fullmatch(SUITE, suite):
        raise ConfigError(f"suite: {suite!r} is neither . nor suites/NAME; there are {_known(root)}")
    folder = root / suite
    for path in (folder, *(folder / name for name in FILES)):
        if not is_inside(root, path):
            raise ConfigError(f"suite: {path} is a link to {path.resolve()}, outside of the repository; remove it")
    if not (folder / "params.yaml").is_file():
        raise ConfigError(f"suite: {suite!r} is no folder with a params.yaml; there are {_known(root)}")
    return folder


def is_inside(root: Path, path: Path) -> bool:
    """Whether a path, with all links followed, is in the repository."""
    return path.resolve().is_relative_to(root.resolve())


def check_assets(root: Path, old: Any, new: Any) -> None:
    """Refuse new assets that are files outside of the repository; those that a suite has already may stay. Raises
    ConfigError: there is one. ``old, new``: values of params.yaml before and after an override."""
    known = set(_paths(old))
    for name in _paths(new):
        if name not in known and not is_inside(root, root / Path(name).expanduser()):
            raise ConfigError(
                f"asset {name!r}: an override of a flow names no file outside of the repository; put it inside, or "
                "write it into params.yaml yourself"
            )


def _paths(values: Any) -> Iterator[str]:
    """Names of all assets that are files of this machine."""
    if isinstance(values, dict):
        if values.get("source") == "path":
            yield str(values.get("name"))
        for value in values.values():
            yield from _paths(value)
    elif isinstance(values, list):
        for value in values:
            yield from _paths(value)


def _known(root: Path) -> str:
    found = sorted(path.parent.relative_to(root).as_posix() for path in root.glob("suites/*/params.yaml"))
    return ", ".join([".", *found])
