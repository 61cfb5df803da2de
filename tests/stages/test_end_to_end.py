"""Every stage of a tiny suite, once, in this process: results, tracked runs, manifests."""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from dataclasses import fields
from pathlib import Path

import polars as pl
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from ladd.errors import ArtifactError
from ladd.evaluation.rows import Row
from ladd.files import file_hash
from ladd.metrics.swd import SlicedWasserstein
from ladd.report.select import summarise
from ladd.stages.declaration import read_declaration
from ladd.stages.manifest import dvc_hash
from ladd.stages.pages import rebuild
from ladd.stages.planned import stages_in_order
from tests.stages.finished import Finished
from tests.stages.tiny import SAMPLES, TRAINING, git, make_suite, run_all, run_here, write_params

TRAINED = ("stage1", "prior", "baseline", "stage2")


class Tracked(Finished):
    """And its runs in MLflow."""

    def __init__(self, repository: Path, folder: Path):
        super().__init__(repository, folder)
        self.values = yaml.safe_load((folder / "params.yaml").read_text())
        self.client = MlflowClient(tracking_uri=f"sqlite:///{repository}/.mlflow/mlflow.db")
        self.experiment = self.client.get_experiment_by_name("tiny")
        self.stages = [(name, key) for name, key in stages_in_order(self.values) if name in (*TRAINED, "measure")]

    def runs(self) -> dict[str, Run]:
        """The runs of stages, by NAME@KEY."""
        found = [run for run in self.all_runs() if "ladd.parent" not in run.data.tags]
        runs = {run.data.tags["dvc.stage"]: run for run in found}
        assert len(runs) == len(found)
        return runs

    def parent(self) -> Run:
        """The run of the suite."""
        [run] = [run for run in self.all_runs() if "ladd.parent" in run.data.tags]
        return run

    def all_runs(self) -> list[Run]:
        return self.client.search_runs([self.experiment.experiment_id])

    def files(self, run: Run, folder: str | None = None) -> set[str]:
        return {file.path for file in self.client.list_artifacts(run.info.run_id, folder)}

    def points(self, run: Run) -> dict[str, list[int]]:
        """Steps of every curve of the stage's own, in the order they were logged."""
        names = [name for name in run.data.metrics if not name.startswith("checkpoint/")]
        return {name: [p.step for p in self.client.get_metric_history(run.info.run_id, name)] for name in names}

    def history(self, name: str) -> pl.DataFrame:
        path = self.folder / f"results/history/{name.replace('@', '-')}.csv"
        return pl.read_csv(path, infer_schema_length=None)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    folder = make_suite(repository, repository / "suites" / "tiny")
    with contextlib.chdir(folder):
        run_all()
        yield Tracked(repository, folder)


def test_columns_are_those_of_a_row(finished):
    header = (finished.folder / "results/compare.csv").read_text().splitlines()[0]
    assert header.split(",") == [field.name for field in fields(Row)]


def test_every_family_and_reference_has_rows(finished):
    families = {"mdlm", "ar", "co-ladd", "di-ladd", "oracle", "exact", "real"}
    assert set(finished.compare["family"]) == families


def test_every_sweep_budget_and_seed_has_one_distance(finished):
    found = finished.compare.filter(pl.col("metric") == "swd", ~pl.col("family").is_in(["exact", "real"]))
    keys = ["model", "schedule", "token_steps", "seed"]  # a sweep is the model of its rows
    expected = [
        (key, sweep["schedule"], steps, seed)
        for key, sweep in finished.values["sweeps"].items()
        for steps in sweep["token_steps"]
        for seed in sweep["seeds"]
    ]
    assert Counter(found.select(keys).iter_rows()) == Counter(expected)


@pytest.mark.parametrize(("sweep", "latent_passes"), [("co-seq", 3), ("di-seq", 1), ("co-joint", 0), ("mdlm", 0)])
def test_passes_for_latents_are_counted(finished, sweep, latent_passes):
    # At one token step the sampler makes exactly one pass for the tokens.
    one_step = (pl.col("token_steps") == 1) & (pl.col("metric") == "swd")
    assert set(finished.compare.filter(one_step, pl.col("model") == sweep)["nfe"]) == {1.0 + latent_passes}


def test_every_training_and_evaluation_has_one_finished_run(finished):
    runs = finished.runs()
    assert runs.keys() == {f"{name}@{key}" for name, key in finished.stages}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("stage1@di", "di · latents discrete L1 K16 w8"),
        ("stage1@co", "co · latents continuous L1 w8"),
        ("baseline@mdlm", "mdlm · model mdlm"),
        ("stage2@di-ladd", "di-ladd · model di-ladd L1 K16 w8"),
        ("measure@ar", "ar · evaluation ar"),
        ("measure@di-seq", "di-seq · evaluation di-ladd L1 K16 w8 sequential"),
    ],
)
def test_names_of_runs_say_what_they_are(finished, name, title):
    assert finished.runs()[name].info.run_name == title


def test_every_run_is_below_that_of_the_suite_and_current(finished):
    parent = finished.parent()
    assert (parent.info.run_name, parent.info.status) == ("tiny", "FINISHED")
    assert (parent.data.tags["ladd.parent"], parent.data.tags["suite"]) == ("tiny", "tiny")
    for run in finished.runs().values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["ladd.state"] == "current"
        assert finished.files(run) == {"params.yaml"}


def test_run_of_the_suite_shows_the_comparison(finished):
    parent = finished.parent()
    assert finished.files(parent) == {"compare.json", "compare.txt", "params.yaml", "plots", "report.html"}
    assert finished.files(parent, "plots") == {
        f"plots/{path.name}" for path in (finished.folder / "results/plots").iterdir()
    }
    table = json.loads(Path(finished.client.download_artifacts(parent.info.run_id, "compare.json")).read_text())
    assert table["columns"] == finished.compare.columns
    assert len(table["data"]) == finished.compare.height
    assert json.loads(parent.data.tags["mlflow.loggedArtifacts"]) == [{"path": "compare.json", "type": "table"}]


def test_run_of_the_suite_has_the_means_of_the_table(finished):
    nested = finished.results("compare.json")
    metrics = finished.parent().data.metrics
    assert metrics["swd/di-seq/steps_2"] == pytest.approx(nested["di-seq"]["sequential"]["swd"]["steps_2"])
    assert metrics["full_bound/di-seq"] == pytest.approx(nested["di-seq"]["sequential"]["full_bound"])
    assert metrics["swd/real-sawtooth"] == pytest.approx(nested["real-sawtooth"]["none"]["swd"])
    assert {name.split("/")[1] for name in metrics} == set(finished.compare["model"])


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("stage1@di", {"role": "latents", "kind": "discrete", "L": "1", "K": "CODES", "w": "8"}),
        ("stage1@co", {"role": "latents", "kind": "continuous", "L": "1", "K": None, "w": "8"}),
        ("baseline@mdlm", {"role": "model", "family": "mdlm", "L": None, "K": None, "schedule": None}),
        ("stage2@di-ladd", {"role": "model", "family": "di-ladd", "L": "1", "K": "CODES"}),
        ("measure@ar", {"role": "evaluation", "family": "ar", "schedule": "none", "K": None}),
        ("measure@di-joint", {"role": "evaluation", "family": "di-ladd", "schedule": "joint", "K": "CODES"}),
        ("measure@co-seq", {"role": "evaluation", "family": "co-ladd", "schedule": "sequential", "L": "1"}),
    ],
)
def test_runs_are_tagged_for_filtering(finished, name, tags):
    found = finished.runs()[name].data.tags
    codes = str(finished.values["latents"]["di"]["codebook"])
    assert {key: found.get(key) for key in tags} == {key: codes if tag == "CODES" else tag for key, tag in tags.items()}
    assert (found["suite"], found["dvc.stage"]) == ("tiny", name)


def test_evaluation_carries_the_settings_of_its_whole_chain(finished):
    values, parameters = finished.values, finished.runs()["measure@di-seq"].data.params
    blocks = {
        "data": values["data"]["sawtooth"],
        "latents": values["latents"]["di"],
        "model": values["models"]["di-ladd"],
        "sweep": values["sweeps"]["di-seq"],
        "evaluation": values["evaluation"],
        "compute": values["compute"],
    }
    missing = [
        f"{name}.{key}" for name, block in blocks.items() for key in block if not _carried(parameters, name, key)
    ]
    assert missing == []
    assert parameters["seed"] == str(values["seed"])
    assert parameters["latents.codebook"] == str(values["latents"]["di"]["codebook"])
    assert parameters["model.training.learning_rate"] == str(values["models"]["di-ladd"]["training"]["learning_rate"])
    assert parameters["latents.training.steps"] == str(TRAINING["steps"])
    assert parameters["sweep.token_steps"] == "[1, 2]"


def _carried(parameters: dict[str, str], name: str, key: str) -> bool:
    return any(found == f"{name}.{key}" or found.startswith(f"{name}.{key}.") for found in parameters)


def test_runs_name_the_dvc_hashes_of_inputs_and_outputs(finished):
    runs = finished.runs()
    for name, key in finished.stages:
        declared = read_declaration(name, key)
        expected = {f"dvc.in.{path}": dvc_hash(path) for path in declared.dependencies}
        expected |= {f"dvc.out.{path}": dvc_hash(path) for path in declared.outputs}
        tags = runs[f"{name}@{key}"].data.tags.items()
        assert {tag: value for tag, value in tags if tag.startswith(("dvc.in.", "dvc.out."))} == expected


def test_runs_name_the_commit(finished):
    for run in finished.runs().values():
        assert run.data.tags["git.commit"] == git(finished.repository, "rev-parse", "HEAD")
        assert (run.data.tags["git.dirty"], run.data.tags["git.changed"]) == ("false", "none")


def test_curves_have_the_points_of_the_history(finished):
    for name, run in finished.runs().items():
        if name.startswith(TRAINED):
            history = finished.history(name)
            assert history["step"].to_list() == [0, 3, 6, 9, 12]
            expected = {
                column: history.filter(pl.col(column).is_not_null())["step"].to_list()
                for column in history.columns
                if column != "step"
            }
            assert finished.points(run) == expected


def test_evaluations_have_the_means_and_standard_errors_of_the_report(finished):
    summary = summarise(finished.compare).filter(pl.col("model") == "di-seq")
    run = finished.runs()["measure@di-seq"]
    assert summary.height > 8
    for row in summary.iter_rows(named=True):
        for name, column in ((row["metric"], "value"), (f"{row['metric']}/stderr", "stderr")):
            history = finished.client.get_metric_history(run.info.run_id, name) if row[column] is not None else []
            at = {point.step: point.value for point in history}
            assert at.get(row["token_steps"] or 0) == (row[column] and pytest.approx(row[column])), name
    alike = json.loads(run.data.tags["measured.swd"])
    assert alike == {
        "n": SAMPLES,
        "precision": "float64",
        "evaluator_version": SlicedWasserstein.version,
        "tokenizer": "",
    }


def test_evaluation_curves_run_over_the_step_budgets(finished):
    runs = finished.runs()
    for key, sweep in finished.values["sweeps"].items():
        points = finished.points(runs[f"measure@{key}"])
        assert points["swd"] == points["swd/stderr"] == sweep["token_steps"]
        assert "token_elbo" in points


def test_every_checkpoint_is_a_model_of_its_run(finished):
    models = finished.client.search_logged_models([finished.experiment.experiment_id], max_results=1000)
    runs = finished.runs()
    for name in (f"{name}@{key}" for name, key in finished.stages if name in TRAINED):
        own = [model for model in models if model.source_run_id == runs[name].info.run_id]
        assert sorted(model.tags["step"] for model in own) == ["12", "6"]
        for model in own:
            assert file_hash(finished.folder / model.tags["path"]) == model.tags["sha256"]
    assert len(models) == 2 * sum(name in TRAINED for name, _ in finished.stages)


def test_no_resume_state_is_left(finished):
    assert [path.name for path in (finished.folder / ".work").iterdir() if path.is_dir()] == ["values"]  # of metrics


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("compare.csv", b"\x80\x00"),
        ("compare.csv", b""),
        ("samples/mdlm.json", b"{"),
        ("samples/mdlm.json", b"null"),
        ("stage1/di.json", b"[1]"),
        ("history/baseline-mdlm.csv", b""),
    ],
)
def test_a_damaged_result_is_named(finished, tmp_path, name, content):
    damaged = finished.folder / "results" / name
    whole = damaged.read_bytes()
    damaged.write_bytes(content)
    try:
        with (
            contextlib.chdir(finished.folder),
            pytest.raises(
                ArtifactError, match=f"{name} (cannot be read|has columns) .*run `dvc repro` to make it again"
            ),
        ):
            rebuild(finished.suite, tmp_path)
    finally:
        damaged.write_bytes(whole)


def test_report_and_figures_are_written(finished):
    results = finished.folder / "results"
    assert {path.name for path in (results / "plots").iterdir()} == {
        "swd.png",
        "swd-made.png",
        "loss-by-time.png",
        "curves.png",
        "codebook.png",
    }
    assert "<html" in (results / "report.html").read_text()
    table = (results / "compare.txt").read_text()
    assert [key for key in finished.values["sweeps"] if key not in table] == []


def test_stages_write_what_they_declare_and_nothing_else(finished):
    finished.check_outputs()


def test_repeated_evaluation_adds_no_run_and_no_point(finished):
    before = finished.runs()
    points = {name: finished.points(run) for name, run in before.items()}
    run_here("measure", "di-seq")
    after = finished.runs()
    assert {name: run.info.run_id for name, run in after.items()} == {n: run.info.run_id for n, run in before.items()}
    assert {name: finished.points(run) for name, run in after.items()} == points


def test_repeated_comparison_changes_nothing_on_the_run_of_the_suite(finished):
    def shown() -> dict:
        run = finished.parent()
        tags = {key: value for key, value in run.data.tags.items() if key != "git.dirty"}
        return {"tags": tags, "points": finished.points(run), "files": finished.files(run), "id": run.info.run_id}

    before = shown()
    run_here("compare", None)
    assert shown() == before
    assert {tuple(steps) for steps in before["points"].values()} == {(0,)}


def test_runs_that_the_suite_no_longer_has_are_superseded(finished):
    other = finished.values["sweeps"]["di-seq"] | {"token_lag": 2.0}
    write_params(finished.folder, finished.values | {"sweeps": finished.values["sweeps"] | {"di-seq": other}})
    run_here("compare", None)
    states = {name: run.data.tags["ladd.state"] for name, run in finished.runs().items()}
    assert [name for name, state in states.items() if state != "current"] == ["measure@di-seq"]
    assert states["measure@di-seq"] == "superseded"
    write_params(finished.folder, finished.values)
    run_here("compare", None)
    assert {run.data.tags["ladd.state"] for run in finished.runs().values()} == {"current"}


def test_state_is_left_alone_where_an_input_is_missing(finished):
    model = finished.folder / "artifacts/models/di-ladd"
    hidden = model.rename(model.with_name("hidden"))
    run_here("compare", None)
    hidden.rename(model)
    assert {run.data.tags["ladd.state"] for run in finished.runs().values()} == {"current"}


def test_repeated_training_gives_equal_bytes_and_no_new_point(finished):
    weights = finished.folder / "artifacts/models/di-ladd/weights.safetensors"
    before, points = weights.read_bytes(), finished.points(finished.runs()["stage2@di-ladd"])
    run_here("stage2", "di-ladd")
    assert weights.read_bytes() == before
    assert finished.points(finished.runs()["stage2@di-ladd"]) == points
