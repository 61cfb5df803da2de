"""A repository that a test may change."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.launch.repository import make_repository


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    return make_repository(tmp_path_factory.mktemp("original") / "repository")


@pytest.fixture
def repository(original, tmp_path) -> Path:
    return shutil.copytree(original, tmp_path / "repository", symlinks=True)
