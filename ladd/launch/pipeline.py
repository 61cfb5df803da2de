"""The dvc.yaml of a suite: a copy of the one at the root of the repository.

A link to it would do for `dvc repro`, but DVC reads no link in a git revision, so `dvc params diff`, `dvc metrics diff`
and `dvc exp show` would find nothing to compare with.
"""

from __future__ import annotations

from pathlib import Path

from ladd.files import write_atomically
from ladd.stages.plan import renew_plan

PIPELINE = Path("dvc.yaml")
HEADER = "# A copy, written by `make pipelines`: edit dvc.yaml at the root of the repository.\n"


def write_pipeline(root: Path, folder: Path) -> None:
    """Write the dvc.yaml of the suite in ``folder``; one that is no copy stays."""
    path = folder / PIPELINE
    if path.is_file() and not path.is_symlink() and not path.read_text().startswith(HEADER):
        return
    path.unlink(missing_ok=True)
    write_atomically(path, (HEADER + (root / PIPELINE).read_text()).encode())


def main() -> None:
    """Write those of all suites of the repository in the working directory, and the plans, without which DVC stops."""
    renew_plan()
    for settings in sorted(Path("suites").glob("*/params.yaml")):
        write_pipeline(Path(), settings.parent)
        renew_plan(settings.parent)


if __name__ == "__main__":
    main()
