"""`make clean` removes nothing under a process that runs, and afterwards there is one lock as before."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.clean import clean
from ladd.errors import BusyError
from ladd.lock import exclusive

REPOSITORY = Path(__file__).resolve().parents[1]
# Of a stage, a launch, and stages inside of a launch and of a rehearsal.
LOCKS = [
    ".work/stage2@x.lock",
    ".work/trees/mine.lock",
    ".work/trees/mine/suites/x/.work/data@x.lock",
    ".work/dry-run/x/.work/data@x.lock",
]
STATE = [
    "artifacts/data/x/tokens.npy",
    ".work/stage2@x/0123/checkpoint.json",
    ".work/trees/mine/dvc.lock",
    ".work/note",
]


@pytest.fixture
def root(tmp_path) -> Path:
    for name in (*LOCKS, *STATE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("4194304")
    return tmp_path


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_is_removed_while_a_lock_is_held(root, lock):
    with exclusive(root / lock, "a stage"):
        with pytest.raises(BusyError, match=Path(lock).stem):
            clean(root)
        assert files(root) == {*LOCKS, *STATE}


def test_what_is_left_are_the_locks(root):
    inode = (root / LOCKS[0]).stat().st_ino
    clean(root)
    assert files(root) == {".work/stage2@x.lock", ".work/trees/mine.lock"}
    assert (root / LOCKS[0]).stat().st_ino == inode
    assert not (root / "artifacts").exists()
    clean(root)


def test_folder_that_has_nothing_is_clean(tmp_path):
    clean(tmp_path)
    assert files(tmp_path) == set()


def test_make_says_what_runs(root):
    """In a checkout without an environment: with what comes with Python."""
    shutil.copy(REPOSITORY / "Makefile", root)
    command = ["make", "clean", f"PYTHON=env PYTHONPATH={REPOSITORY} {sys.executable} -S"]
    with exclusive(root / LOCKS[0], "a stage"):
        found = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert found.returncode == 2
        assert "stage2@x is already running (process" in found.stderr
        assert "nothing was removed" in found.stderr
    subprocess.run(command, cwd=root, check=True)
    assert not {*STATE} & files(root)
