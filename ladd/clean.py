"""Removal of what the stages of the default suite wrote: `make clean`. Needs no package."""

import contextlib
import shutil
import sys
from pathlib import Path

from ladd.errors import BusyError
from ladd.lock import exclusive


def clean(root: Path) -> None:
    """Remove outputs and resume state of a suite. Lock files stay, as whoever opened one must meet the next who
    does. Raises BusyError: a stage, a rehearsal or a launch runs; nothing is removed."""
    work = root / ".work"
    with contextlib.ExitStack() as held:
        locks = _lock_files(work)
        for path in sorted(locks):
            held.enter_context(exclusive(path, path.stem))
        if new := _lock_files(work) - locks:
            raise BusyError(f"{min(new).stem} has just started; try again when it has ended")
        if (root / "artifacts").exists():
            shutil.rmtree(root / "artifacts")
        _empty(work)
        _empty(work / "trees")


def _lock_files(work: Path) -> set[Path]:
    """Locks of stages, launches and rehearsals, and of the stages of the two latter, which have suites inside."""
    return {path for path in work.rglob("*.lock") if path.parent.name == ".work" or path.parent == work / "trees"}


def _empty(folder: Path) -> None:
    """Remove what is in a folder, except lock files, and the folder of launches, which has some itself."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.is_dir() and path.name != "trees":
            shutil.rmtree(path)
        elif path.is_file() and path.suffix != ".lock":
            path.unlink()


def main() -> int:
    try:
        clean(Path())
    except BusyError as error:
        print(f"error: {error}\nnothing was removed", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
