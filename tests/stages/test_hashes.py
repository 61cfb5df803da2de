"""Hashes that are remembered; test_manifest.py holds those of outputs against DVC's."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from ladd.stages import manifest
from ladd.stages.manifest import KNOWN, dvc_hash, remembered


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(manifest, "REMEMBERED", 4)
    file = Path("artifacts/latents/large.arrow")
    file.parent.mkdir(parents=True)
    file.write_bytes(b"large")
    return file


def digest(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def mark(file: Path) -> None:
    """Put another hash into what is known of a file, which shows whether the file is read."""
    known = json.loads(KNOWN.read_text())
    known[file.as_posix()][-2:] = ["known", "known too"]
    KNOWN.write_text(json.dumps(known))


def test_large_file_is_read_once(file):
    (file.parent / "small").write_bytes(b"abc")
    assert dvc_hash(file) == digest(b"large")
    folder = dvc_hash(file.parent)
    assert set(json.loads(KNOWN.read_text())) == {file.as_posix()}
    mark(file)
    assert dvc_hash(file) == "known"
    assert dvc_hash(file.parent) != folder
    assert dvc_hash(file, known=None) == digest(b"large")
    assert dvc_hash(file.parent, known=None) == folder


@pytest.mark.parametrize("replace", [True, False])
def test_file_that_changed_is_read_again_although_size_and_time_are_kept(file, replace):
    dvc_hash(file)
    mark(file)
    before = file.stat()
    if replace:
        Path("new").write_bytes(b"other")
        os.replace("new", file)
    else:
        file.write_bytes(b"other")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert dvc_hash(file) == digest(b"other")


@pytest.mark.parametrize(
    "notes", ['{"artifacts/latents/large.arrow": [5, ', '{"artifacts/latents/large.arrow": 5}', "[5]"]
)
def test_broken_notes_are_written_anew(file, notes):
    KNOWN.parent.mkdir()
    KNOWN.write_text(notes)
    assert dvc_hash(file) == digest(b"large")
    mark(file)
    assert dvc_hash(file) == "known"


def test_one_reading_gives_both_hashes(file):
    with remembered() as hashes_of:
        assert hashes_of(file) == (digest(b"large"), hashlib.sha256(b"large").hexdigest())
    mark(file)
    with remembered() as hashes_of:
        assert hashes_of(file) == ("known", "known too")


def test_what_another_process_noted_meanwhile_is_kept(file):
    other = file.with_name("other.arrow")
    other.write_bytes(b"other")
    with remembered() as hashes_of:
        hashes_of(file)
        dvc_hash(other)
    assert set(json.loads(KNOWN.read_text())) == {file.as_posix(), other.as_posix()}


def test_folder_of_notes_that_cannot_be_written_costs_nothing_but_time(file):
    KNOWN.parent.write_text("a file in its place")
    assert dvc_hash(file) == digest(b"large")
