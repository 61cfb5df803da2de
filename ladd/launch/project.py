"""A suite as a project of DVC's own: `python -m ladd.launch.project` makes each of them one again, after a change of
the root's settings.

DVC reads all that is in a project, whatever it is asked about. So a suite has .dvc and .dvcignore in its folder: copies
of the root's, with paths from there, so that all suites have one cache and the same remotes.
"""

import io
import os
import re
from configparser import RawConfigParser
from pathlib import Path

from ladd.files import write_atomically

PROJECT = Path(".dvc")
SHARED, LOCAL = PROJECT / "config", PROJECT / "config.local"  # settings in git, and those of this machine alone
COPIED = (PROJECT / ".gitignore", Path(".dvcignore"))
HEADER = "# A copy, written by `make pipelines`: change the settings at the root of the repository.\n"
# Those that name a file or a folder, from that of the settings; "url" may.
PATHS = ("dir", "url", "credentialpath", "configpath", "keyfile", "cert_path", "key_path")
CACHE = "cache"  # where DVC has it unless told otherwise


def write_project(root: Path, folder: Path) -> None:
    """Make the folder of a suite a project, where the root is one. Settings that are no copies stay."""
    if not (root / SHARED).is_file():
        return
    for name in COPIED:
        if (root / name).is_file():
            write_atomically(folder / name, (root / name).read_bytes())
    for name in (SHARED, LOCAL):
        path = folder / name
        if path.is_file() and not path.read_text().startswith(HEADER):
            continue
        if name == SHARED or (root / name).is_file():
            write_atomically(path, (HEADER + _settings(root / name, path.parent)).encode())
        else:
            path.unlink(missing_ok=True)


def _settings(path: Path, folder: Path) -> str:
    """Those of the root, for a file in another folder."""
    settings = RawConfigParser()
    settings.read(path, encoding="utf-8")
    if path.name == SHARED.name and not settings.has_option("cache", "dir"):
        settings.read_dict({"cache": {"dir": CACHE}})
    for section in settings.sections():
        for key, value in settings.items(section):
            if key in PATHS and not re.match(r"\w+://|~|/", value):
                settings.set(section, key, os.path.relpath(path.parent / value, folder))
    text = io.StringIO()
    settings.write(text)
    return text.getvalue().rstrip() + "\n"


def main() -> None:
    """Write those of all suites of the repository in the working directory."""
    for settings in sorted(Path("suites").glob("*/params.yaml")):
        write_project(Path(), settings.parent)


if __name__ == "__main__":
    main()
