"""Real flow runs on stages that are shell commands, and the forms that they are launched by."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun
from prefect.utilities.callables import parameter_schema

import flows.pipeline
from flows.ablation import ablation
from flows.pipeline import main, pipeline
from flows.stage import StageRunner
from tests.builders import text_suite_values
from tests.flows.checkout import make_checkout, runs, stage, write_stages
from tests.stages.tiny import write_params

# left fails; right has nothing to do with it; end reads both.
STAGES = {
    "start": stage("true", out="start.out"),
    "left": stage("test -e mended || { echo the reason; exit 3; }", "start.out", out="left.out"),
    "after": stage("true", "left.out", out="after.out"),
    "right": stage("true", "start.out", out="right.out"),
    "beside": stage("true", "right.out", out="beside.out"),
    "end": stage("true", "after.out", "beside.out", out="end.out"),
}
CHAIN = {name: STAGES[name] for name in ("start", "right", "beside")}


@pytest.fixture
def checkout(prefect, tmp_path, monkeypatch) -> Path:
    folder = make_checkout(tmp_path / "r", STAGES)
    monkeypatch.setattr(flows.pipeline, "ROOT", folder)
    return folder


@pytest.fixture
def done(checkout) -> Path:
    """A shorter pipeline, nothing of which fails, up to date."""
    write_stages(checkout, CHAIN)
    assert pipeline(return_state=True).is_completed()
    assert runs(checkout) == ["start.out", "right.out", "beside.out"]
    return checkout


def names(state: State) -> dict[str, tuple[str, str]]:
    """Name and message of the state of every task of a flow run, as the server has them."""
    return {task.name: (task.state.name, task.state.message or "") for task in tasks(state)}


def tasks(state: State) -> list[TaskRun]:
    with get_client(sync_client=True) as client:
        only = FlowRunFilter(id=FlowRunFilterId(any_=[state.state_details.flow_run_id]))
        return client.read_task_runs(flow_run_filter=only)


@pytest.fixture
def settled() -> Callable[[State, int], None]:
    """Waits until the server knows the last state of all tasks: it hears of them by events."""

    def wait(state: State, count: int) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = tasks(state)
            if len(found) == count and all(task.state_name not in ("Pending", "Running") for task in found):
                return
            time.sleep(0.2)

    return wait


def test_failed_stage_stops_what_is_behind_it_and_nothing_else(checkout):
    """Also the smoke test of this very combination of packages: it runs a real flow."""
    failed = pipeline(return_state=True)
    assert failed.is_failed()
    assert "left failed" in failed.message
    assert "the reason" in failed.message
    assert "behind them, not run: after, end" in failed.message
    assert sorted(runs(checkout)) == ["beside.out", "left.out", "right.out", "start.out"]

    (checkout / "mended").touch()
    mended = pipeline(return_state=True)
    assert mended.is_completed()
    assert sorted(runs(checkout)[4:]) == ["after.out", "end.out", "left.out"]


def test_states_say_what_came_of_a_stage(checkout, settled):
    settled(failed := pipeline(return_state=True), 6)
    shown = names(failed)
    assert {name: state for name, (state, _) in shown.items()} == {
        "start": "Completed",
        "left": "Failed",
        "after": "NotReady",
        "right": "Completed",
        "beside": "Completed",
        "end": "NotReady",
    }
    assert "the reason" in shown["left"][1]

    settled(again := pipeline(only=["right", "beside"], return_state=True, downstream=False), 2)
    assert {name: state for name, (state, _) in names(again).items()} == {"right": "Unchanged", "beside": "Unchanged"}


def test_up_to_date_suite_starts_no_process(done, monkeypatch):
    monkeypatch.setattr(StageRunner, "run", lambda *_, **__: pytest.fail("a process was started"))
    assert pipeline(return_state=True).is_completed()


def test_one_change_runs_what_depends_on_it_and_nothing_else(done):
    (done / "right.out").write_text("changed by hand")
    assert pipeline(return_state=True).is_completed()
    assert runs(done)[3:] == []  # DVC restores it from its cache
    write_stages(done, CHAIN | {"right": stage("echo new", "start.out", out="right.out")})
    assert pipeline(return_state=True).is_completed()
    assert runs(done)[3:] == ["right.out"]  # its output came out the same


def test_force_runs_the_named_stages(done):
    assert pipeline(only=["right"], force=True, return_state=True).is_completed()
    assert runs(done)[3:] == ["right.out"]


def test_command_line_ends_with_1_when_a_stage_failed(checkout, capsys):
    assert main([]) == 1
    assert "left failed" in capsys.readouterr().out
    (checkout / "mended").touch()
    assert main(["--only", "left", "--no-downstream"]) == 0
    assert "after.out" not in runs(checkout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"suite": "suites/none"}, "'suites/none' is no folder"),
        ({"suite": "/tmp/evil"}, "'/tmp/evil' is neither . nor suites/NAME"),
        ({"suite": "../.."}, "'../..' is neither"),
        ({"suite": "suites/../evil"}, "is neither"),
        ({"suite": ""}, "'' is neither"),
        ({"only": ["lef"]}, "did you mean left"),
    ],
)
def test_what_cannot_run_fails_before_any_stage(checkout, arguments, message):
    state = pipeline(**arguments, return_state=True)
    assert state.is_failed()
    assert message in state.message
    assert runs(checkout) == []


def test_invalid_params_are_named_before_any_stage(checkout):
    path = checkout / "params.yaml"
    path.write_text(path.read_text() + "colour: red\n")
    state = pipeline(return_state=True)
    assert "colour: unknown key" in state.message
    assert runs(checkout) == []


def test_form_of_the_pipeline_explains_and_bounds_every_field():
    form = parameter_schema(pipeline).model_dump()["properties"]
    assert list(form) == ["suite", "only", "downstream", "force", "overrides", "jobs"]
    assert all(len(field["description"]) > 20 for field in form.values())
    assert (form["jobs"]["minimum"], form["jobs"]["maximum"], form["jobs"]["default"]) == (1, 64, 2)
    assert {name: field["type"] for name, field in form.items()} == {
        "suite": "string",
        "only": "array",
        "downstream": "boolean",
        "force": "boolean",
        "overrides": "object",
        "jobs": "integer",
    }


def test_form_of_an_ablation_explains_and_bounds_every_field():
    schema = parameter_schema(ablation).model_dump()
    fields = schema["definitions"]["Grid"]["properties"]
    assert {"kinds", "lengths", "codebooks", "schedules", "token_steps", "seeds"} <= set(fields)
    assert [name for name, field in fields.items() if not field.get("description")] == []
    assert fields["lengths"]["items"]["minimum"] == 1
    assert fields["schedules"]["items"]["enum"] == ["joint", "sequential"]


PATH_ASSET = {"source": "path", "name": "/etc/passwd", "revision": None, "file": None, "kind": None, "sha256": None}


def test_overrides_of_a_flow_name_no_file_outside_of_the_repository(checkout, monkeypatch):
    values = text_suite_values()
    write_params(checkout, values | {"root": "."})
    monkeypatch.setattr(flows.pipeline, "launch_overrides", lambda *_, **__: pytest.fail("it was launched"))
    key = next(key for key, data in values["data"].items() if data["kind"] == "text")
    state = pipeline(overrides={f"data.{key}.train.asset": PATH_ASSET}, return_state=True)
    assert state.is_failed()
    assert "asset '/etc/passwd': an override of a flow names no file outside of the repository" in state.message
