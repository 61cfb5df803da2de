"""Who holds a lock, and when it is free."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.errors import BusyError
from ladd.lock import exclusive

REPOSITORY = Path(__file__).resolve().parents[1]


def test_second_holder_is_told_who_has_it(tmp_path):
    path = tmp_path / "new/work.lock"
    second = exclusive(path, "the second")
    with exclusive(path, "the first"), pytest.raises(BusyError) as caught:
        second.__enter__()
    assert str(caught.value).startswith(f"the second is already running (process {os.getpid()});")
    with exclusive(path, "the third"):
        pass


def test_killed_process_frees_its_lock(tmp_path):
    path = tmp_path / "work.lock"
    program = (
        "import os, pathlib, signal; from ladd.lock import exclusive\n"
        f"with exclusive(pathlib.Path({str(path)!r}), 'it'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    process = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    assert process.returncode == -9
    assert int(path.read_text()) != os.getpid()
    with exclusive(path, "the next"):
        assert int(path.read_text()) == os.getpid()


def test_file_that_was_removed_before_it_was_locked_holds_nobody_off(tmp_path, monkeypatch):
    """The one who opened it would be alone with it, and the next would lock a new file beside it."""
    path = tmp_path / "work.lock"
    lock = fcntl.flock

    def remove_first(file, operation):
        monkeypatch.setattr(fcntl, "flock", lock)
        path.unlink()
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    with exclusive(path, "the first"):
        assert int(path.read_text()) == os.getpid()
        with pytest.raises(BusyError):
            exclusive(path, "the second").__enter__()
