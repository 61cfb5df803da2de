"""Runs are found again, curves hold no point twice, and nothing calls home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus

from ladd.tracking import TrackedRun, flatten, tracking_uri

REPOSITORY = Path(__file__).resolve().parents[2]


def curve(run: TrackedRun, name: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in run.client.get_metric_history(run.run_id, name)]


def stored(run: TrackedRun):
    return run.client.get_run(run.run_id)


def test_run_is_found_by_its_fingerprint(start):
    first, again, other = start("a"), start("a"), start("b")
    assert first.run_id == again.run_id != other.run_id
    assert len(first.client.search_runs([first.experiment_id], "tags.`ladd.fingerprint` != ''")) == 2


def test_run_is_not_shared_between_experiments(start, root):
    own = start("a")
    other = TrackedRun(root, suite="elsewhere", name="n", fingerprint="a", parameters={}, tags={})
    assert own.run_id != other.run_id


def test_resumed_run_does_not_log_a_step_twice(start):
    with start() as run:
        run.log({"loss": 3.0}, 0)
        run.log({"loss": 2.0}, 5)
    with start() as run:
        for step, loss in ((0, 3.5), (5, 2.5), (10, 1.0)):
            run.log({"loss": loss}, step)
    assert curve(run, "loss") == [(0, 3.0), (5, 2.0), (10, 1.0)]


def test_curve_that_starts_later_gets_its_early_steps(start):
    with start() as run:
        run.log({"loss": 3.0}, 5)
    with start() as run:
        run.log({"loss": 9.0, "other": 1.0}, 5)
    assert (curve(run, "loss"), curve(run, "other")) == ([(5, 3.0)], [(5, 1.0)])


def test_gap_that_a_killed_process_left_is_filled(start):
    with start() as run:
        for step in (0, 10):
            run.log({"loss": 1.0}, step)
    with start() as run:
        for step in (0, 5, 10, 15):
            run.log({"loss": 2.0}, step)
    assert sorted(curve(run, "loss")) == [(0, 1.0), (5, 2.0), (10, 1.0), (15, 2.0)]


def test_row_of_the_history_is_logged_at_its_step(start):
    with start() as run:
        run.log_row({"step": 7, "train/loss": 0.5})
    assert curve(run, "train/loss") == [(7, 0.5)]
    assert "step" not in stored(run).data.metrics


def test_points_are_sent_when_the_buffer_is_full(start):
    run = start()
    for step in range(19):
        run.log({"loss": 0.0}, step)
    assert curve(run, "loss") == []
    run.log({"loss": 0.0}, 19)
    assert len(curve(run, "loss")) == 20


def test_run_that_ends_well_is_finished(start):
    with start() as run:
        assert stored(run).info.status == "RUNNING"
    assert stored(run).info.status == "FINISHED"


def fail_after_a_point(run: TrackedRun) -> None:
    run.log({"loss": 3.0}, 0)
    raise ZeroDivisionError


def test_exception_passes_keeps_the_points_and_marks_the_run(start):
    run = start()
    with pytest.raises(ZeroDivisionError), run:
        fail_after_a_point(run)
    assert curve(run, "loss") == [(0, 3.0)]
    assert stored(run).info.status == "FAILED"


def test_failed_run_goes_on_as_running(start):
    run = start()
    with pytest.raises(ZeroDivisionError), run:
        fail_after_a_point(run)
    assert stored(start()).info.status == "RUNNING"


def test_tags_without_a_value_are_dropped(start):
    tags = stored(start(tags={"family": "ar", "K": None, "L": 1})).data.tags
    assert (tags["family"], tags["L"]) == ("ar", "1")
    assert "K" not in tags


def test_parameters_are_logged_once(start):
    assert stored(start(parameters={"a.b": 1, "c": None})).data.params == {"a.b": "1", "c": "None"}
    assert stored(start(parameters={"a.b": 1})).data.params == {"a.b": "1", "c": "None"}


def test_tags_can_be_added_later(start):
    run = start()
    run.tag({"dvc.out.artifacts/models/di": "123.dir"})
    assert stored(run).data.tags["dvc.out.artifacts/models/di"] == "123.dir"


def test_artifacts_and_database_have_absolute_places(start, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    assert tracking_uri(Path()) == f"sqlite:///{root}/.mlflow/mlflow.db"
    run = TrackedRun(Path(), suite="relative", name="n", fingerprint="a", parameters={}, tags={})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "note.txt").write_text("kept")
    run.client.log_artifact(run.run_id, str(tmp_path / "note.txt"), "notes")
    artifacts = root / ".mlflow" / "artifacts" / "relative"
    assert run.client.get_experiment(run.experiment_id).artifact_location == artifacts.as_uri()
    assert [path.read_text() for path in artifacts.rglob("note.txt")] == ["kept"]
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


def test_tracking_uri_of_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://localhost:5000")
    assert tracking_uri(tmp_path) == "http://localhost:5000"


def test_checkpoints_are_registered_once_with_their_metrics(start):
    first = {"name": "s-1", "path": "a/1", "sha256": "f", "step": 1, "metrics": {"validation/loss": 0.5}}
    second = first | {"name": "s-2", "step": 2}
    run = start()
    run.log_checkpoints([first])
    start().log_checkpoints([first, second])
    models = run.client.search_logged_models([run.experiment_id])
    assert sorted((model.name, model.tags["step"], model.tags["path"]) for model in models) == [
        ("s-1", "1", "a/1"),
        ("s-2", "2", "a/1"),
    ]
    assert {model.source_run_id for model in models} == {run.run_id}
    for model in models:
        assert [(metric.key, metric.value) for metric in model.metrics] == [("checkpoint/validation/loss", 0.5)]


CHECKPOINT = {"name": "s-1", "path": "a", "sha256": "f", "step": 1, "metrics": {"validation/loss": 0.5, "b": 2.0}}


def checkpoints(run: TrackedRun) -> dict[str, dict[str, float]]:
    """Metrics of the models of a run by their names; each of both is there once."""
    models = run.client.search_logged_models([run.experiment_id])
    assert len({model.name for model in models}) == len(models)
    assert {model.status for model in models} == {LoggedModelStatus.READY}
    for model in models:
        assert len({metric.key for metric in model.metrics or ()}) == len(model.metrics or ())
    return {model.name: {metric.key: metric.value for metric in model.metrics or ()} for model in models}


def kill() -> None:
    raise KeyboardInterrupt


def test_checkpoint_whose_metrics_a_kill_cut_off_gets_them(start, transport):
    run = start()
    transport.during = [("log_batch", lambda: None), ("log_batch", kill)]  # the first one claims the right to file
    with pytest.raises(KeyboardInterrupt):
        run.log_checkpoints([CHECKPOINT])
    assert checkpoints(run) == {"s-1": {}}
    run._points.writer.release(run.client, run.run_id)
    start().log_checkpoints([CHECKPOINT])
    assert checkpoints(run) == {"s-1": {"checkpoint/validation/loss": 0.5, "checkpoint/b": 2.0}}
    assert curve(run, "checkpoint/b") == [(1, 2.0)]


def test_metrics_of_a_checkpoint_that_the_run_has_and_the_model_has_not_are_not_doubled(start):
    run = start()
    run.log_checkpoints([CHECKPOINT | {"metrics": {}}])
    run.client.log_metric(run.run_id, "checkpoint/b", 2.0, timestamp=1000, step=1)
    start().log_checkpoints([CHECKPOINT])
    assert checkpoints(run) == {"s-1": {"checkpoint/validation/loss": 0.5, "checkpoint/b": 2.0}}
    assert curve(run, "checkpoint/b") == [(1, 2.0)]


def test_checkpoint_that_was_never_ready_is_registered_anew(start):
    run = start()
    run.client.create_logged_model(run.experiment_id, name="s-1", source_run_id=run.run_id)
    run.log_checkpoints([CHECKPOINT])
    assert checkpoints(run) == {"s-1": {"checkpoint/validation/loss": 0.5, "checkpoint/b": 2.0}}


def test_more_checkpoints_than_a_page_are_all_known(start, monkeypatch):
    monkeypatch.setattr("ladd.tracking.store._PAGE", 2)
    five = [CHECKPOINT | {"name": f"s-{step}", "step": step} for step in range(5)]
    run = start()
    for _ in range(2):
        run.log_checkpoints(five)
    assert sorted(checkpoints(run)) == [f"s-{step}" for step in range(5)]


@pytest.mark.parametrize("before", [None, "http://localhost:5000"])
def test_registering_a_checkpoint_leaves_the_environment_alone(start, monkeypatch, before):
    run = start()
    if before is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", before)
    run.log_checkpoints([{"name": "s-1", "path": "a", "sha256": "f", "step": 1, "metrics": {}}])
    assert os.environ.get("MLFLOW_TRACKING_URI") == before


def test_nested_settings_get_dotted_names():
    values = {"seed": 1, "model": {"network": {"width": 8}, "steps": [1, 2]}, "empty": None}
    assert flatten(values) == {"seed": 1, "model.network.width": 8, "model.steps": [1, 2], "empty": None}


# Any look-up of a name or connection to another machine is an error, also in a thread.
QUIET = """
import socket, sys, threading
from pathlib import Path

calls = []
threading.excepthook = lambda args: calls.append(repr(args.exc_value))

def refuse(*arguments, **options):
    calls.append(repr(arguments))
    raise OSError("no network here")

socket.getaddrinfo = socket.create_connection = refuse
socket.socket.connect = refuse

from ladd.tracking import TrackedRun

with TrackedRun(Path(sys.argv[1]), suite="e", name="n", fingerprint="f", parameters={}, tags={}) as run:
    run.log({"loss": 1.0}, 0)
    run.log_checkpoints([{"name": "s", "path": "a", "sha256": "f", "step": 1, "metrics": {}}])
import os, mlflow.telemetry.client as telemetry
print(os.environ["MLFLOW_DISABLE_TELEMETRY"], os.environ["DO_NOT_TRACK"], telemetry.get_telemetry_client(), calls)
"""


def test_tracking_calls_nobody(root):
    dropped = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "CI", "PYTEST_CURRENT_TEST", "MLFLOW_TRACKING_URI")
    values = {name: value for name, value in os.environ.items() if name not in dropped}
    command = [sys.executable, "-c", QUIET, str(root)]
    process = subprocess.run(command, cwd=REPOSITORY, env=values, capture_output=True, text=True)
    assert process.stdout.strip() == "true true None []", process.stderr


STARTER = """
import sys
from pathlib import Path
from ladd.tracking import TrackedRun

root, name = Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
with TrackedRun(root, suite="e", name=name, fingerprint=name, parameters={}, tags={}) as run:
    run.log({"loss": 1.0}, 0)
"""


@pytest.mark.slow
def test_processes_that_open_a_new_database_at_once_all_succeed(tmp_path):
    values = {name: value for name, value in os.environ.items() if name != "MLFLOW_TRACKING_URI"}
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", STARTER, str(tmp_path), f"run-{index}"],
            cwd=REPOSITORY,
            env=values,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(3)
    ]
    for starter in starters:
        assert starter.stdout.readline() == "ready\n"
    for starter in starters:
        starter.stdin.write("go\n")
        starter.stdin.flush()
    errors = [starter.communicate(timeout=300)[1] for starter in starters]
    assert [starter.returncode for starter in starters] == [0, 0, 0], errors
    client = MlflowClient(tracking_uri=tracking_uri(tmp_path))
    experiment = client.get_experiment_by_name("e")
    names = sorted(run.info.run_name for run in client.search_runs([experiment.experiment_id]))
    assert names == ["e", "run-0", "run-1", "run-2"]
