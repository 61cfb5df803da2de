"""A suite with made-up results, in a repository that git and DVC know."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ladd.launch.project import write_project
from ladd.stages.plan import renew_plan
from ladd.tracking.store import create_store
from tests.runs.fake import fake_results, write_suite
from tests.stages.tiny import commit, copy_code, copy_dvc, environment, git


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Iterator[Path]:
    """The root of the repository; all its stages are up to date, and the tracking store is empty."""
    root = tmp_path_factory.mktemp("finished") / "repository"
    copy_code(root)
    (root / ".gitignore").write_text("__pycache__/\n.work/\n.mlflow/\nartifacts/\nresults/\n")
    copy_dvc(root)
    folder = root / "suites" / "tiny"
    write_suite(folder)
    write_project(root, folder)
    renew_plan(folder)
    git(root, "init", "--quiet")
    with contextlib.chdir(folder):
        fake_results()
    create_store(root)
    dvc(folder, "commit", "--force", "--quiet", "dvc.yaml")
    commit(root)
    return root


@pytest.fixture
def suite(finished, tmp_path, monkeypatch) -> Path:
    """Folder of a copy of the suite, to change; also the working directory."""
    root = shutil.copytree(finished, tmp_path / "repository", symlinks=True)
    monkeypatch.chdir(root / "suites" / "tiny")
    return root / "suites" / "tiny"


def dvc(folder: Path, *arguments: str) -> None:
    values = environment() | {"PYTHONPATH": ""}
    process = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=folder, env=values, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
