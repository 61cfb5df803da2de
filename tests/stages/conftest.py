"""A tiny suite as working directory."""

from pathlib import Path

import pytest

from tests.stages.tiny import make_suite


@pytest.fixture
def suite(tmp_path, monkeypatch) -> Path:
    """Folder of a tiny suite that has not run yet; also the working directory."""
    folder = make_suite(tmp_path, tmp_path / "suites" / "tiny")
    monkeypatch.chdir(folder)
    return folder
