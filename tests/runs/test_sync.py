"""Every up-to-date stage gets its run, once, from what it wrote; the others are named with the reason."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from ladd.cli import main
from ladd.config import load_suite
from ladd.errors import ArtifactError
from ladd.files import file_hash
from ladd.runs import sync as module
from ladd.runs.sync import outdated_stages
from ladd.stages.declaration import read_declaration
from ladd.stages.manifest import dvc_hash
from ladd.stages.tracked import current_fingerprints, open_run
from tests.runs.fake import distance, fake_values

TRAINED = ["stage1@discrete", "stage1@continuous", "stage1@discrete-k5", "baseline@mdlm", "baseline@ar"]
TRAINED += ["prior@continuous", "stage2@di", "stage2@co", "stage2@di-k5"]
EVALUATED = [f"measure@{key}" for key in fake_values()["sweeps"]]


def lines(capsys, *arguments: str) -> dict[str, str]:
    assert main(["track", "sync", *arguments]) == 0
    return dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())


def stored(root: Path) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(tracking_uri=f"sqlite:///{root}/.mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    return client, client.search_runs([experiment.experiment_id])


def by_stage(runs: list[Run]) -> dict[str, Run]:
    return {run.data.tags["dvc.stage"]: run for run in runs if "dvc.stage" in run.data.tags}


@pytest.fixture(scope="module")
def synced(finished, tmp_path_factory):
    """Root of a copy, synced twice: what each time printed, and its runs."""
    root = shutil.copytree(finished, tmp_path_factory.mktemp("synced") / "repository", symlinks=True)
    with contextlib.chdir(root / "suites" / "tiny"):
        printed = [list(module.sync(load_suite())) for _ in range(2)]
        yield root, printed


def test_each_stage_is_made_and_then_there(synced):
    first, second = ({item.stage: item.outcome for item in items} for items in synced[1])
    assert first == dict.fromkeys([*TRAINED, *EVALUATED], "made") | {"compare": "shown"}
    assert second == dict.fromkeys([*TRAINED, *EVALUATED], "there") | {"compare": "shown"}


def test_there_is_one_finished_run_per_stage_below_that_of_the_suite(synced):
    _, runs = stored(synced[0])
    assert len(runs) == len(TRAINED) + len(EVALUATED) + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
    found = by_stage(runs)
    assert found.keys() == {*TRAINED, *EVALUATED}
    fingerprints = current_fingerprints(load_suite())
    [parent] = [run for run in runs if "ladd.parent" in run.data.tags]
    for name, run in found.items():
        tags = run.data.tags
        assert (tags["ladd.restored"], tags["ladd.state"]) == ("true", "current")
        assert tags["mlflow.parentRunId"] == parent.info.run_id
        assert tags["ladd.fingerprint"] == fingerprints[name]


def test_training_has_its_curves_and_checkpoints(synced):
    client, runs = stored(synced[0])
    run = by_stage(runs)["stage2@di"]
    curves = {
        name: [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
        for name in ("validation/loss", "train/loss")
    }
    assert curves == {
        "validation/loss": [(0, 0.75), (3, 0.5), (6, 0.25)],
        "train/loss": [(3, 0.625), (6, 0.375)],
    }
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    assert sorted((model.name, model.tags["step"]) for model in models) == [
        ("stage2-di-step-00000003", "3"),
        ("stage2-di-step-00000006", "6"),
    ]
    for model in models:
        assert file_hash(Path(model.tags["path"])) == model.tags["sha256"]
        assert [metric.key for metric in model.metrics] == ["checkpoint/validation/loss"]


def test_evaluation_has_means_and_errors_and_hashes(synced):
    client, runs = stored(synced[0])
    run = by_stage(runs)["measure@di-seq"]
    values = [distance("di-seq", 8, seed) for seed in (0, 1)]
    assert run.data.metrics["swd"] == pytest.approx(sum(values) / 2)
    # Of two values, the sample standard deviation over the square root of 2 is half their distance.
    assert run.data.metrics["swd/stderr"] == pytest.approx(abs(values[1] - values[0]) / 2)
    assert (run.data.metrics["full_bound"], run.data.metrics["full_bound/stderr"]) == (0.56, 0.001)
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "swd")]
    assert steps == [1, 8]
    outputs = read_declaration("measure", "di-seq").outputs
    assert {tag: value for tag, value in run.data.tags.items() if tag.startswith("dvc.out.")} == {
        f"dvc.out.{path}": dvc_hash(path) for path in outputs
    }


def test_comparison_is_on_the_run_of_the_suite(synced):
    client, runs = stored(synced[0])
    [parent] = [run for run in runs if "ladd.parent" in run.data.tags]
    files = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert files == {"compare.json", "compare.txt", "params.yaml", "plots", "report.html"}
    assert parent.data.metrics["full_bound/di-seq"] == 0.56
    assert parent.data.metrics["swd/real-saw"] == pytest.approx(0.015)


def test_outdated_stages_are_left_alone_with_the_reason(suite, capsys):
    values = fake_values()
    values["models"]["di"] = values["models"]["di"] | {"token_weight": 2.0}
    values["sweeps"]["new"] = values["sweeps"]["mdlm"] | {"token_lag": 3.0}
    Path("params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    Path("results/history/baseline-ar.csv").unlink()
    found = lines(capsys)
    assert found["stage2@di"] == "skipped: changed deps digests.stage2.di"
    assert found["baseline@ar"] == "skipped: changed outs results/history/baseline-ar.csv"
    assert found["measure@new"] == "skipped: dvc.lock does not have it: it never ran"
    assert found["compare"].startswith("skipped: changed deps ")
    assert found["measure@di-seq"] == "skipped: changed deps digests.measure.di-seq"
    assert found["measure@mdlm"] == "made"
    _, runs = stored(suite.parents[1])
    of_model = {f"measure@{key}" for key, sweep in values["sweeps"].items() if sweep["model"] == "di"}
    assert by_stage(runs).keys() == {*TRAINED, *EVALUATED} - {"stage2@di", "baseline@ar"} - of_model


def test_run_that_a_killed_stage_left_is_completed(suite, capsys):
    declaration = read_declaration("stage2", "di")
    run = open_run(load_suite(), declaration, declaration.fingerprint())
    run.log({"validation/loss": 0.75}, 0)
    run.flush()
    assert lines(capsys)["stage2@di"] == "completed"
    client, runs = stored(suite.parents[1])
    assert by_stage(runs)["stage2@di"].info.run_id == run.run_id
    assert [point.step for point in client.get_metric_history(run.run_id, "validation/loss")] == [0, 3, 6]
    assert "ladd.restored" not in by_stage(runs)["stage2@di"].data.tags


def test_silent_dvc_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match="dvc status"):
        outdated_stages()


def test_missing_folder_is_an_error(capsys):
    assert main(["track", "sync", "--suite", "nowhere"]) == 1
    assert "--suite: nowhere is no folder" in capsys.readouterr().err
