"""The run of a suite and the runs below it."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
from pathlib import Path

import pytest

from ladd.tracking import Experiment, TrackedRun
from ladd.tracking import experiment as module
from ladd.tracking import run as run_module


def start(root: Path, suite: str, fingerprint: str, stage: str = "stage2@di", **tags: str) -> TrackedRun:
    tags = {"dvc.stage": stage, **tags}
    return TrackedRun(root, suite=suite, name=fingerprint, fingerprint=fingerprint, parameters={}, tags=tags)


def parents(experiment: Experiment) -> list:
    return experiment.client.search_runs([experiment.id], "tags.`ladd.parent` != ''")


def states(experiment: Experiment) -> dict[str, str | None]:
    return {run.info.run_name: run.data.tags.get("ladd.state") for run in experiment.runs()}


def test_suite_has_one_run_that_never_stays_running(root):
    first, again = Experiment(root, "one"), Experiment(root, "one")
    assert (first.id, first.parent_id) == (again.id, again.parent_id)
    [parent] = parents(first)
    assert (parent.info.run_name, parent.info.status) == ("one", "FINISHED")
    assert (parent.data.tags["ladd.parent"], parent.data.tags["suite"]) == ("one", "one")


def test_run_of_the_suite_that_a_killed_process_left_running_is_ended(root):
    experiment = Experiment(root, "killed")
    experiment.client.update_run(experiment.parent_id, status="RUNNING")
    assert Experiment(root, "killed").parent_id == experiment.parent_id
    assert [run.info.status for run in parents(experiment)] == ["FINISHED"]


def test_runs_are_below_that_of_the_suite(root):
    run = start(root, "below", "a")
    experiment = Experiment(root, "below")
    [found] = experiment.runs()
    assert found.info.run_id == run.run_id
    assert found.data.tags["mlflow.parentRunId"] == experiment.parent_id


def test_launch_has_an_experiment_of_its_own(root, monkeypatch):
    plain = start(root, "launched", "a")
    monkeypatch.setenv("LADD_LAUNCH", "more-codes")
    launched = start(root, "launched", "a")
    assert plain.run_id != launched.run_id
    [parent] = parents(Experiment(root, "launched"))
    assert (parent.info.run_name, parent.data.tags["ladd.parent"]) == ("launched@more-codes", "launched")
    assert launched.client.get_experiment(launched.experiment_id).name == "launched@more-codes"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, None),
        ({"PREFECT__FLOW_RUN_ID": "p"}, "p"),
        ({"LADD_FLOW_RUN_ID": "l", "PREFECT__FLOW_RUN_ID": "p"}, "l"),
    ],
)
def test_run_names_the_flow_that_ran_it_last(root, monkeypatch, variables, expected):
    suite = f"flow-{expected}"
    monkeypatch.delenv("LADD_FLOW_RUN_ID", raising=False)
    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", "before")
    start(root, suite, "a")
    monkeypatch.delenv("PREFECT__FLOW_RUN_ID")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    run = start(root, suite, "a")
    assert run.client.get_run(run.run_id).data.tags["prefect.flow_run_id"] == (expected or "before")


def test_runs_are_current_or_superseded_and_can_be_so_again(root):
    for fingerprint in ("old", "new"):
        start(root, "marked", fingerprint)
    start(root, "marked", "gone", stage="stage2@gone")
    experiment = Experiment(root, "marked")
    assert states(experiment) == {"old": None, "new": None, "gone": None}
    experiment.mark({"stage2@di": "new"})
    assert states(experiment) == {"old": "superseded", "new": "current", "gone": "superseded"}
    experiment.mark({"stage2@di": "old", "stage2@gone": "gone"})
    assert states(experiment) == {"old": "current", "new": "superseded", "gone": "current"}


def test_state_of_a_stage_that_is_not_known_stays(root):
    start(root, "unknown", "a")
    experiment = Experiment(root, "unknown")
    experiment.mark({"stage2@di": None})
    assert states(experiment) == {"a": None}
    experiment.mark({"stage2@di": "a"})
    experiment.mark({"stage2@di": None})
    assert states(experiment) == {"a": "current"}


def statuses(experiment: Experiment) -> dict[str, str]:
    return {run.info.run_name: run.info.status for run in experiment.runs()}


@pytest.fixture
def gone() -> str:
    """A process of this host that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return f"{socket.gethostname()} {process.pid}"


def test_run_that_a_killed_process_left_is_killed_once_its_settings_have_changed(root, gone):
    for name in ("killed", "alive", "current"):
        run = start(root, "left", name)
        run.tag({"ladd.process": gone} if name != "alive" else {})
    with start(root, "left", "finished") as run:
        pass
    run.tag({"ladd.process": gone})
    experiment = Experiment(root, "left")
    expected = {"killed": "KILLED", "alive": "RUNNING", "current": "RUNNING", "finished": "FINISHED"}
    experiment.mark({"stage2@di": "current"})
    assert statuses(experiment) == expected
    experiment.mark({"stage2@di": None})  # what is not known is left alone
    assert statuses(experiment) == expected
    experiment.mark({"stage2@di": "killed"})
    assert statuses(experiment) == expected | {"current": "KILLED"}
    start(root, "left", "killed")
    assert statuses(experiment)["killed"] == "RUNNING"


def test_run_of_another_host_is_killed_when_it_was_silent_for_a_day(root, monkeypatch):
    for name in ("silent", "talking", "unknown"):
        start(root, "hosts", name).tag({"ladd.process": "elsewhere 1" if name != "unknown" else ""})
    experiment, hour = Experiment(root, "hosts"), 3_600_000
    experiment.mark({})
    assert set(statuses(experiment).values()) == {"RUNNING"}
    now = module.milliseconds()
    for run in experiment.runs():
        if run.info.run_name == "talking":
            experiment.client.log_metric(run.info.run_id, "loss", 1.0, timestamp=now + 3 * hour, step=1)
    monkeypatch.setattr(module, "milliseconds", lambda: now + 26 * hour)
    experiment.mark({})
    assert statuses(experiment) == {"silent": "KILLED", "talking": "RUNNING", "unknown": "KILLED"}


def test_two_machines_that_make_a_run_or_an_experiment_at_once_share_one(root, transport, monkeypatch):
    for one in (module, run_module):  # no lock reaches from one machine to another
        monkeypatch.setattr(one, "store_lock", lambda root: contextlib.nullcontext())
    made = []

    def on_another_machine() -> None:
        made.append(start(root, "at-once", "a"))

    transport.during = [("create_experiment", lambda: Experiment(root, "at-once"))]
    experiment = Experiment(root, "at-once")
    assert transport.during == []
    transport.during = [("create_run", on_another_machine)]
    own = start(root, "at-once", "a")
    assert (transport.during, own.run_id) == ([], made[0].run_id)
    assert [run.info.run_id for run in experiment.runs()] == [own.run_id]
    assert len(parents(experiment)) == 1


def test_marking_puts_older_runs_below_the_suite(root):
    experiment = Experiment(root, "older")
    tags = {"dvc.stage": "stage2@di", "ladd.fingerprint": "a"}
    experiment.client.create_run(experiment.id, run_name="older", tags=tags)
    experiment.mark({"stage2@di": "a"})
    [run] = experiment.runs()
    assert run.data.tags["mlflow.parentRunId"] == experiment.parent_id
    assert run.data.tags["ladd.state"] == "current"


def test_more_runs_than_a_page_are_all_found(root, monkeypatch):
    monkeypatch.setattr("ladd.tracking.store._PAGE", 2)
    for fingerprint in "abcde":
        start(root, "pages", fingerprint)
    experiment = Experiment(root, "pages")
    assert sorted(states(experiment)) == list("abcde")
    experiment.mark({"stage2@di": "e"})
    assert sorted(states(experiment).values()) == ["current", *4 * ["superseded"]]


def publish(experiment: Experiment, folder: Path, text: str, **metrics: float) -> None:
    (folder / "note.txt").write_text(text)
    experiment.publish(
        table=("table.json", ["a", "b"], [(1, None), (2, text)]),
        files=[(folder / "note.txt", None), (folder / "note.txt", "plots")],
        metrics=metrics,
        tags={"git.commit": text},
    )


def shown(experiment: Experiment, tmp_path: Path) -> dict:
    client, run_id = experiment.client, experiment.parent_id
    run = client.get_run(run_id)
    texts = {
        name: Path(client.download_artifacts(run_id, name, str(tmp_path))).read_text()
        for name in ("table.json", "note.txt", "plots/note.txt")
    }
    points = {key: [p.value for p in client.get_metric_history(run_id, key)] for key in run.data.metrics}
    return {"texts": texts, "latest": dict(run.data.metrics), "points": points, "tags": run.data.tags}


def test_results_are_shown_once_and_replaced_when_they_change(root, tmp_path):
    experiment = Experiment(root, "shown")
    publish(experiment, tmp_path, "first", loss=1.0, same=5.0)
    first = shown(experiment, tmp_path)
    assert json.loads(first["texts"]["table.json"]) == {"columns": ["a", "b"], "data": [[1, None], [2, "first"]]}
    assert json.loads(first["tags"]["mlflow.loggedArtifacts"]) == [{"path": "table.json", "type": "table"}]
    publish(experiment, tmp_path, "first", loss=1.0, same=5.0)
    assert shown(experiment, tmp_path) == first
    publish(experiment, tmp_path, "second", loss=0.5, same=5.0)
    second = shown(experiment, tmp_path)
    assert second["texts"]["note.txt"] == second["texts"]["plots/note.txt"] == "second"
    assert second["latest"] == {"loss": 0.5, "same": 5.0}
    assert second["points"]["same"] == [5.0]
    assert second["tags"]["git.commit"] == "second"
    assert [run.info.status for run in parents(experiment)] == ["FINISHED"]
