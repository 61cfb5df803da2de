"""Who holds a lock, and when it is free."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest

from ladd.errors import BusyError
from ladd.lock import exclusive, turn

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


def is_free(path: Path, kind: int) -> bool:
    with path.open("a") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_turns_are_taken_together_or_alone(tmp_path):
    path = tmp_path / "new/machine.lock"
    with turn(path, "one", alone=False), turn(path, "two", alone=False):
        assert not is_free(path, fcntl.LOCK_EX)
    with turn(path, "three", alone=True):
        assert not is_free(path, fcntl.LOCK_SH)
    assert is_free(path, fcntl.LOCK_EX)


def test_one_that_waits_to_be_alone_goes_before_those_who_come_later(tmp_path, caplog):
    path, order = tmp_path / "machine.lock", []

    def enter(what: str, alone: bool) -> None:
        with turn(path, what, alone=alone):
            order.append(what)

    caplog.set_level("INFO")
    waiting = [Thread(target=enter, args=("timed", True)), Thread(target=enter, args=("later", False))]
    with turn(path, "first", alone=False):
        for count, thread in enumerate(waiting, 1):
            thread.start()
            while len(caplog.messages) < count:  # each says that it waits
                thread.join(0.01)
                assert thread.is_alive(), f"{order} did not wait"
    for thread in waiting:
        thread.join()
    assert order == ["timed", "later"]


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
