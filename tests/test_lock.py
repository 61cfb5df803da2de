"""Who holds a lock, and when it is free."""

from __future__ import annotations

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
