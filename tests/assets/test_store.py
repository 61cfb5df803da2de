"""Folders that are whole or absent, whoever is killed or late."""

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from ladd.assets.store import make_once, store_folder

FORK = multiprocessing.get_context("fork")


def write_two(scratch, between=lambda: None):
    (scratch / "files").mkdir()
    (scratch / "files" / "first").write_text("1")
    between()
    (scratch / "files" / "second").write_text("2")
    return scratch / "files"


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_store_is_in_the_repository_or_where_the_variable_says(tmp_path, monkeypatch):
    assert store_folder(tmp_path) == tmp_path / ".assets"
    for value, expected in (("", tmp_path / ".assets"), ("shared", tmp_path / "shared"), ("/data", Path("/data"))):
        monkeypatch.setenv("LADD_ASSETS", value)
        assert store_folder(tmp_path) == expected
    monkeypatch.setenv("LADD_ASSETS", "~/assets")
    assert store_folder(tmp_path) == Path.home() / "assets"


def test_a_folder_is_made_once_and_nothing_else_stays(tmp_path):
    target = tmp_path / "new" / "target"
    assert make_once(target, write_two) == target
    assert entries(target) == ["first", "second"]
    assert entries(tmp_path / "new") == [".target.lock", "target"]

    def never(_):
        raise AssertionError

    assert make_once(target, never) == target


def test_an_error_leaves_nothing(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once(tmp_path / "target", lambda scratch: write_two(scratch, fail))
    assert entries(tmp_path) == [".target.lock"]


def test_a_kill_between_two_files_leaves_no_folder_and_the_next_call_makes_it_whole(tmp_path):
    target = tmp_path / "target"

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=make_once, args=(target, lambda scratch: write_two(scratch, die)))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (partial,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert partial != target
    assert entries(partial / "files") == ["first"]

    make_once(target, write_two)
    assert entries(target) == ["first", "second"]
    assert entries(tmp_path) == [".target.lock", "target"]


def test_processes_that_want_the_same_wait_for_one(tmp_path):
    target, makers, results = tmp_path / "target", tmp_path / "makers", FORK.Queue()
    start = FORK.Barrier(4)

    def make(scratch):
        with makers.open("a") as file:
            file.write("x")
        return write_two(scratch, lambda: time.sleep(0.3))

    def work():
        start.wait()
        results.put(entries(make_once(target, make)))

    processes = [FORK.Process(target=work) for _ in range(4)]
    for process in processes:
        process.start()
    assert [results.get(timeout=30) for _ in processes] == [["first", "second"]] * 4
    for process in processes:
        process.join()
    assert makers.read_text() == "x"
