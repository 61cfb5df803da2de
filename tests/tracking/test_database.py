"""The database of a store is made whole or not at all, and follows its folder when that is moved or copied."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

import ladd.tracking.store
from ladd.errors import ConfigError
from ladd.tracking import TrackedRun, find_run, tracking_uri
from ladd.tracking.store import create_store


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A checkout with one run, which has a file."""
    folder = tmp_path_factory.mktemp("made") / "a#b%c;d é"
    folder.mkdir()
    attach(folder, "first.txt")
    return folder


@pytest.fixture
def first(made, tmp_path, monkeypatch) -> Path:
    """A checkout of the test's own, which has written its files where it is."""
    folder = shutil.copytree(made, tmp_path / "first")
    attach(folder, "first.txt")
    return folder


def attach(root: Path, name: str) -> TrackedRun:
    """The one run of a checkout, with a file more."""
    utils._artifact_repos_cache.clear()  # by the id of the run: no checkout moves under a process that runs in it
    tags = {"suite": "s", "dvc.stage": "stage2@m", "git.commit": "none"}
    run = TrackedRun(root, suite="s", name="n", fingerprint="a", parameters={"p": 1}, tags=tags)
    run.attach(name, name)
    return run


def files(root: Path) -> list[str]:
    """Names of the tracked files below a folder."""
    return sorted(path.name for path in (root / ".mlflow/artifacts").rglob("*.txt"))


def test_files_of_a_path_with_odd_characters_are_in_it(made):
    assert files(made) == ["first.txt"]
    assert [path.name for path in made.parent.iterdir()] == [made.name]


def test_moved_checkout_has_its_files_where_it_is(first, tmp_path, caplog):
    here = tmp_path / "moved"
    shutil.move(first, here)
    with caplog.at_level(logging.WARNING):
        run = attach(here, "second.txt")
    assert files(here) == ["first.txt", "second.txt"]
    assert not first.exists()
    assert "was moved or copied" in caplog.text
    (tmp_path / "kept").mkdir()
    found = run.client.download_artifacts(run.run_id, "first.txt", str(tmp_path / "kept"))
    assert Path(found).read_text() == "first.txt"


def test_copied_checkout_leaves_the_original_alone(first, tmp_path):
    here = tmp_path / "copy"
    shutil.copytree(first, here)
    attach(here, "second.txt")
    assert files(here) == ["first.txt", "second.txt"]
    attach(first, "third.txt")
    assert files(first) == ["first.txt", "third.txt"]
    assert files(here) == ["first.txt", "second.txt"]


def test_runs_of_a_moved_checkout_are_read_where_it_is(first, tmp_path):
    run_id = attach(first, "params.yaml").run_id
    shutil.move(first, tmp_path / "moved")
    utils._artifact_repos_cache.clear()
    assert find_run(tmp_path / "moved", run_id).settings == "params.yaml"


def test_other_name_of_the_same_folder_changes_nothing(first, tmp_path, monkeypatch, caplog):
    (tmp_path / "link").symlink_to(first)
    location = experiment(first).artifact_location
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/link/.mlflow/mlflow.db")
    with caplog.at_level(logging.WARNING):
        attach(first, "second.txt")
    assert experiment(first).artifact_location == location
    assert caplog.text == ""
    assert files(first) == ["first.txt", "second.txt"]


def experiment(root: Path):
    found = MlflowClient(tracking_uri=tracking_uri(root)).get_experiment_by_name("s")
    assert found is not None
    return found


def test_kill_while_the_database_is_made_leaves_none(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:

        def killed(*_):
            raise KeyboardInterrupt

        patch.setattr(ladd.tracking.store.os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            create_store(tmp_path)
    assert not (tmp_path / ".mlflow/mlflow.db").exists()
    (tmp_path / ".mlflow/mlflow.db.partial").write_bytes(b"half of it")
    uri = create_store(tmp_path)
    assert MlflowClient(tracking_uri=uri).search_experiments()[0].name == "Default"


def test_path_that_no_database_uri_can_name_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"question mark; rename the folder"):
        tracking_uri(tmp_path / "a?b")
