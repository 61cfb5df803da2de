"""A teacher is unpacked once, whole or not at all, and a kill leaves nothing for ever."""

from __future__ import annotations

from pathlib import Path

import pytest

import ladd.evaluation.teacher
from ladd.evaluation.teacher import _unpacked


@pytest.fixture
def loaded(monkeypatch) -> list[Path]:
    """Files that a stand-in for the teacher was read from."""
    files = []

    class Packed:
        @classmethod
        def load(cls, path: Path, **_: object) -> Packed:
            files.append(path)
            return cls()

        def save(self, folder: Path) -> None:
            folder.mkdir()
            (folder / "config.json").write_text("{}")

    monkeypatch.setattr(ladd.evaluation.teacher, "Teacher", Packed)
    return files


def test_teacher_is_unpacked_once_and_what_a_kill_left_is_removed(loaded, tmp_path):
    left = tmp_path / "teachers" / ".0123-half"
    left.mkdir(parents=True)
    for _ in range(2):
        folder = _unpacked(tmp_path / "tiny.gguf", tmp_path / "teachers" / "0123")
    assert loaded == [tmp_path / "tiny.gguf"]
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    assert {path.name for path in folder.parent.iterdir()} - {".0123.lock"} == {"0123"}
