"""Suites as projects of DVC's own: settings, remotes and the cache are the root's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.launch.pipeline import prepare
from ladd.launch.project import HEADER, LOCAL, SHARED, main, write_project
from ladd.launch.worktree import worktree
from tests.stages.tiny import REPOSITORY, environment, git

SUITES = sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))
MINE = Path("suites/mine")


def dvc(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    process = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: folder.name)
def test_every_suite_of_the_repository_is_a_project_as_the_root_is(folder, tmp_path):
    shutil.copytree(REPOSITORY / ".dvc", tmp_path / ".dvc", ignore=shutil.ignore_patterns("cache", "tmp", "*.local"))
    shutil.copy(REPOSITORY / ".dvcignore", tmp_path)
    write_project(tmp_path, tmp_path / MINE)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        assert (folder / name).read_text() == (tmp_path / MINE / name).read_text(), "run `make pipelines`"


def test_suite_has_the_cache_and_the_remotes_of_the_root(repository, tmp_path):
    (repository / LOCAL).write_text(
        f"['remote \"near\"']\n    url = ../../store\n['remote \"far\"']\n    url = s3://bucket/path\n"
        f"['remote \"disk\"']\n    url = {tmp_path}/disk\n"
    )
    write_project(repository, repository / MINE)
    assert dvc(repository / MINE, "cache", "dir") == dvc(repository, "cache", "dir") == str(repository / ".dvc/cache")
    listed = "remote", "list"
    assert dvc(repository / MINE, *listed) == dvc(repository, *listed)
    assert "s3://bucket/path" in dvc(repository, *listed)
    assert git(repository, "status", "--porcelain", "--", str(LOCAL), str(MINE / LOCAL)) == ""


def test_cache_of_the_root_that_is_elsewhere_is_that_of_the_suite(repository):
    for name, cache in ((SHARED, "../big"), (LOCAL, "../bigger")):
        (repository / name).write_text(f"[cache]\n    dir = {cache}\n    type = symlink\n")
        write_project(repository, repository / MINE)
        assert dvc(repository / MINE, "cache", "dir") == str((repository / ".dvc" / cache).resolve())
    assert "type = symlink" in (repository / MINE / SHARED).read_text()


def test_settings_that_are_no_copies_stay_and_copies_follow_the_root(repository, monkeypatch):
    for name in ("mine", "other"):
        (repository / "suites" / name).mkdir(parents=True)
        (repository / "suites" / name / "params.yaml").touch()
        write_project(repository, repository / "suites" / name)
    (repository / MINE / SHARED).write_text("[core]\n")
    (repository / LOCAL).write_text("[core]\n    remote = a\n")
    monkeypatch.chdir(repository)
    main()
    assert (MINE / SHARED).read_text() == "[core]\n"
    assert (Path("suites/other") / SHARED).read_text().startswith(HEADER)
    assert "remote = a" in (MINE / LOCAL).read_text()
    LOCAL.unlink()
    main()
    assert not (MINE / LOCAL).exists()


def test_launch_in_a_worktree_has_the_cache_of_the_main_checkout(repository):
    with worktree(repository, "launch") as tree:
        prepare(repository / MINE, tree.path / MINE, "seed: 1\n", tree)
        assert dvc(tree.path / MINE, "cache", "dir") == str(repository / ".dvc/cache")


def test_root_that_is_no_project_makes_none(tmp_path):
    write_project(tmp_path, tmp_path / MINE)
    assert not (tmp_path / MINE).exists()
