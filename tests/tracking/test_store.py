"""One store for a repository and all its work trees."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from ladd.assets import store_folder
from ladd.errors import ArtifactError
from ladd.tracking import TrackedRun, current_evaluations, find_run, tracking_uri
from ladd.tracking.store import experiment_name
from tests.stages.tiny import commit, git


@pytest.fixture
def trees(tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Main checkout and a work tree of it."""
    main = tmp_path / "main"
    main.mkdir()
    (main / ".gitignore").write_text(".work/\n.mlflow/\n")
    git(main, "init", "--quiet")
    commit(main)
    git(main, "worktree", "add", "--quiet", "--detach", ".work/trees/other")
    return main, main / ".work/trees/other"


def test_work_tree_shares_tracking_store_and_assets(trees):
    main, other = trees
    assert tracking_uri(other) == tracking_uri(main) == f"sqlite:///{main}/.mlflow/mlflow.db"
    assert store_folder(other) == store_folder(main) == main / ".assets"


def test_run_of_a_work_tree_is_that_of_the_main_checkout(trees):
    runs = [TrackedRun(tree, suite="s", name="n", fingerprint="a", parameters={"p": 1}, tags={}) for tree in trees]
    assert runs[0].run_id == runs[1].run_id
    experiment = runs[1].client.get_experiment(runs[1].experiment_id)
    assert experiment.artifact_location == (trees[0] / ".mlflow/artifacts/s").as_uri()
    assert not (trees[1] / ".mlflow").exists()


def test_store_in_a_file_elsewhere_keeps_its_files_beside_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere/runs.db")
    run = TrackedRun(tmp_path / "root", suite="s", name="n", fingerprint="a", parameters={}, tags={})
    run.attach("note.txt", "first")
    run.attach("note.txt", "second")
    kept = list((tmp_path / "elsewhere/artifacts/s").rglob("note.txt"))
    assert [path.read_text() for path in kept] == ["first"]
    assert not (tmp_path / "root").exists()


def test_experiment_is_named_after_the_launch(monkeypatch):
    assert experiment_name("s") == "s"
    monkeypatch.setenv("LADD_LAUNCH", "l")
    assert experiment_name("s") == "s@l"


def test_reading_creates_nothing(tmp_path, monkeypatch):
    for read, arguments in ((find_run, ("0123",)), (current_evaluations, ("0123", {}))):
        with pytest.raises(ArtifactError, match="set MLFLOW_TRACKING_URI"):
            read(tmp_path, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_suite_without_a_current_evaluation_says_what_to_do(root):
    TrackedRun(
        root,
        suite="s",
        name="n",
        fingerprint="a",
        parameters={},
        tags={"role": "evaluation", "dvc.stage": "measure@s"},
    )
    with pytest.raises(ArtifactError, match="`dvc repro` or `ladd track sync`"):
        current_evaluations(root, "s", {"measure@s": "b"})


def test_point_that_was_replaced_is_read_with_its_last_value(root):
    tags = {"role": "evaluation", "dvc.stage": "measure@s"}
    run = TrackedRun(root, suite="twice", name="n", fingerprint="a", parameters={"p": 1}, tags=tags)
    client = MlflowClient(tracking_uri=tracking_uri(root))
    for timestamp, value in ((2, 0.25), (1, 0.75)):
        client.log_metric(run.run_id, "swd", value, timestamp=timestamp, step=4)
    [found] = current_evaluations(root, "twice", {"measure@s": "a"})
    assert found.points == {"swd": {4: 0.25}}
    assert (found.parameters, found.tags["dvc.stage"]) == ({"p": "1"}, "measure@s")
