"""Write docs/LICENCES.md: the licence of every locked package, as its own metadata says. `make licences`."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from requirements.lock import FOLDER, USES, name_of

PAGE = FOLDER.parent / "docs/LICENCES.md"
# Of packages that another platform or Python brings, as their metadata says.
ELSEWHERE = {"async-timeout": "Apache-2.0", "cuda-pathfinder": "Apache-2.0", "triton": "MIT", "whenever": "MIT"}
NVIDIA = "NVIDIA's own"
WRITTEN = {"huey": "MIT", "skops": "MIT"}  # in a file alone, and not in their metadata
PERMISSIVE = re.compile(
    r"MIT|Apache|BSD|ISC|PSF|Python Software Foundation|Zope|ZPL|Unlicense|CC0|Zlib|0BSD|CNRI|HPND|"
    r"Public Domain|BSL-1.0"
)
RESTRICTED = re.compile(r"GPL|GNU|MPL|Mozilla|NVIDIA|Proprietary|EPL|EUPL|Artistic", re.IGNORECASE)
HEAD = """# Licences of what is installed

Written by `make licences` from the metadata of the packages that the lock names (`requirements/`). It is a list, and no
advice. Nothing of them is in this repository; an image that is passed on holds those of its files.

## Not permissive

| Package | Licence | In | Wanted by |
|---|---|---|---|
"""
NOTES = """
`run` is what `make install` brings, `cluster` and `dashboard` are in the image `ladd` too, and `servers`, the image
`ladd-tracking`, is a part of `run` and `cluster`. `molecules` and `dev` are in no image. `cuda` comes with a build of
torch for CUDA alone.

## All

| Package | Version | Licence | In |
|---|---|---|---|
"""


def restricted(words: str) -> bool:
    """Whether a licence asks for more than that it is named; of a choice, one that does not is enough."""
    return all(RESTRICTED.search(choice) for choice in re.split(r" OR (?![^(]*\))", words))


def installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def licence(name: str) -> str:
    """Of a package, on one line.

    Raises:
        SystemExit: it is not installed and not known otherwise, or says nothing.
    """
    if name in ELSEWHERE:
        return ELSEWHERE[name]
    if name.startswith(("nvidia-", "cuda-")):
        return NVIDIA
    if name in WRITTEN:
        return WRITTEN[name]
    if (found := installed(name)) is None:
        raise SystemExit(
            f"{name} is not installed: requirements/install {' '.join(use for use in USES if use != 'cuda')}"
        )
    metadata = found.metadata
    classifiers = [
        line.split(" :: ")[-1] for line in metadata.get_all("Classifier", []) if line.startswith("License ::")
    ]
    field = (metadata.get("License") or "").strip().split("\n")[0]
    named = ", ".join(line for line in classifiers if line != "OSI Approved")
    if not (text := metadata.get("License-Expression") or named or field):
        raise SystemExit(f"{name} says nothing about its licence: look, and write it into {Path(__file__).name}")
    return text


def rows() -> dict[str, tuple[str, str]]:
    """Version and file of every locked package, by name; the file that it is installed with first."""
    found: dict[str, tuple[str, str]] = {}
    for use in USES:
        for name, version in re.findall(
            r"^([a-z0-9-]+)==([^\s;\\]+)", (FOLDER / f"{use}.txt").read_text(), re.MULTILINE
        ):
            if name in found:
                version = version if found[name][0] == version else f"{found[name][0]}, {version}"
            found[name] = (version, found.get(name, ("", use))[1])
    return found


def parents(names: set[str]) -> dict[str, list[str]]:
    """Which of the packages ask for each, whatever for."""
    asked: dict[str, list[str]] = {name: [] for name in names}
    for parent in sorted(names):
        found = installed(parent)
        for line in (found.requires or []) if found else []:
            requirement = Requirement(line)
            needed = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if needed and (child := name_of(requirement.name)) in asked and parent not in asked[child]:
                asked[child].append(parent)
    return asked


def page() -> str:
    packages = rows()
    asked = parents(set(packages))
    licences = {name: licence(name) for name in sorted(packages)}
    text = HEAD
    for name, words in licences.items():
        if restricted(words):
            by = "torch for CUDA" if words == NVIDIA else ", ".join(asked[name]) or "this package"
            text += f"| {name} | {words} | {packages[name][1]} | {by} |\n"
        elif not PERMISSIVE.search(words):
            raise SystemExit(f"{name}: {words!r} is neither known as permissive nor as anything else")
    text += NOTES
    for name, words in licences.items():
        version, use = packages[name]
        text += f"| {name} | {version} | {words} | {use} |\n"
    return text


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE.relative_to(FOLDER.parent))
