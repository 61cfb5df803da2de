"""Full disks and missing permissions are one line with the file and the remedy; other errors stay as they are."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections import namedtuple
from pathlib import Path

import pytest
from safetensors import SafetensorError

import ladd.files
from ladd.errors import StorageError
from ladd.files import RESERVE, check_space, storage_error, try_outputs, write_atomically

Usage = namedtuple("Usage", "total used free")


def full(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def caught(action) -> BaseException:
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_full_disk_names_the_file_although_the_system_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    error = caught(lambda: write_atomically(tmp_path / "table.csv", b"text"))
    assert str(storage_error(error)) == (
        f"{tmp_path}/table.csv: No space left on device; free some space, then run it again: it goes on from what is "
        "done"
    )
    assert list(tmp_path.iterdir()) == []


def test_missing_permission_names_file_and_remedy():
    error = caught(lambda: write_atomically(Path("/sys/kernel/table.csv"), b"text"))  # not even root may
    message = str(storage_error(error))
    assert message.startswith("/sys/kernel/table.csv: ")
    assert message.endswith(("then run it again", "or mount it so"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (sqlite3.OperationalError("database or disk is full"), "free some space"),
        (sqlite3.OperationalError("attempt to write a readonly database"), "chmod"),
        (shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'")]), "free some space"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "free some space"),
    ],
)
def test_errors_of_libraries_are_known_by_their_words(error, words):
    outer = caught(lambda: raise_from(RuntimeError("no"), error))
    assert words in str(storage_error(outer))
    assert "\n" not in str(storage_error(outer))


def raise_from(error: Exception, cause: Exception) -> None:
    raise error from cause


@pytest.mark.parametrize(
    "error", [OSError("disk full"), FileNotFoundError(errno.ENOENT, "no", "x"), ValueError("No space left on device")]
)
def test_other_errors_are_not_taken_for_it(error):
    assert storage_error(error) is None


def test_output_that_cannot_be_written_is_found_before_the_work(tmp_path):
    (tmp_path / "artifacts").symlink_to("/sys/kernel")
    with pytest.raises(StorageError, match="artifacts/models: "):
        try_outputs([tmp_path / "artifacts/models/di"])


def test_trial_leaves_nothing_behind(tmp_path, monkeypatch):
    try_outputs([tmp_path / "a/b", tmp_path / "c.csv"])
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=f"{tmp_path}: No space left"):
        try_outputs([tmp_path / "c.csv"])
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_hardly_any_space_is_not_enough_for_the_records_of_dvc(tmp_path, monkeypatch):
    for free in (RESERVE - 1, RESERVE):
        monkeypatch.setattr(ladd.files.shutil, "disk_usage", lambda _, free=free: Usage(1 << 40, 0, free))
        if free < RESERVE:
            with pytest.raises(StorageError, match=f"{tmp_path}: only 16383 KiB are free"):
                check_space(tmp_path)
        else:
            check_space(tmp_path)
