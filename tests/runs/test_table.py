"""One table per question: which rows and columns, told-apart sweeps, refusals; DVC and MLflow agree."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import polars as pl
import pytest
import yaml

from ladd.cli import main
from ladd.config import load_suite
from ladd.errors import ArtifactError, ConfigError
from ladd.runs.table import KEYS, comparison, sweep_rows
from ladd.stages.declaration import read_declaration
from ladd.stages.results import log_results, read_results
from ladd.stages.tracked import current_fingerprints, open_run
from ladd.tracking import Experiment
from tests.runs.fake import distance, fake_results, fake_values, write_suite

QUESTIONS = [
    [],
    ["--by", "L,K,schedule"],
    ["--by", "sweep", "--metric", "swd", "--steps", "1"],
    ["--by", "suite,model,sweep,latent_steps,temperature", "--metric", "full_bound,swd"],
    ["--by", "family,token_steps,given", "--metric", "swd,full_bound"],
    ["--by", "temperature", "--metric", "swd"],
]


def track(suite) -> None:
    """Runs of the evaluations, as the stages make them, marked as `compare` does."""
    for key in suite.sweeps:
        declaration = read_declaration("measure", key)
        with open_run(suite, declaration, declaration.fingerprint()) as run:
            log_results(read_results(Path(f"results/evaluate/{key}.csv")), run)
    Experiment(Path(suite.root), suite.suite).mark(current_fingerprints(suite))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A suite with results and runs, outside git, and a frontier over temperatures; also the working directory."""
    root = tmp_path_factory.mktemp("root")
    values = fake_values()
    values["sweeps"]["mdlm"]["frontier"] = {"token_steps": [8], "temperatures": [0.5, 0.75]}
    os.symlink(Path(__file__).resolve().parents[2] / "ladd", root / "ladd")
    write_suite(root / "suites" / "tiny", values)
    with contextlib.chdir(root / "suites" / "tiny"):
        track(fake_results())
        yield root / "suites" / "tiny"


@pytest.fixture(scope="module")
def rows(folder):
    return sweep_rows([folder], "dvc")


def body(text: str) -> list[list[str]]:
    """Cells of the rows of a table."""
    lines = text.splitlines()
    last = max(index for index, line in enumerate(lines) if set(line) == {"-"})
    return [line.split() for line in lines[last + 1 :]]


def head(text: str) -> list[str]:
    lines = text.splitlines()
    return lines[next(index for index, line in enumerate(lines) if set(line) == {"-"}) + 1].split()


@pytest.mark.parametrize("question", QUESTIONS, ids=" ".join)
def test_dvc_and_mlflow_print_the_same(folder, capsys, question):
    printed = []
    for source in ("dvc", "mlflow"):
        assert main(["compare", *question, "--source", source]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert len(body(printed[0])) >= 5


def test_cells_are_means_and_errors_over_seeds(rows):
    text = comparison(rows, ["sweep"], ["swd"])
    cells = {row[0]: row[1:] for row in body(text)}
    assert head(text) == ["sweep", "1", "step", "8", "steps"]
    expected = []
    for steps in (1, 8):
        values = [1000 * distance("di-seq", steps, seed) for seed in (0, 1)]
        expected.append(f"{sum(values) / 2:.2f}±{(values[1] - values[0]) / 2:.2f}")
    assert cells["di-seq"] == expected
    assert cells["ar"][0] == "-"  # always all steps
    assert text.startswith("SWD")


def test_bound_has_its_own_error_and_no_step(rows):
    text = comparison(rows, ["sweep"], ["full_bound"])
    assert head(text) == ["sweep", "value"]
    assert ["di-seq", "0.5600±0.0010"] in body(text)


def test_several_metrics_are_columns(rows):
    text = comparison(rows, ["sweep"], ["full_bound", "swd"], [8])
    assert head(text) == ["sweep", "full_bound", "swd@8"]
    assert [len(row) for row in body(text)] == [3] * 7


def test_steps_can_be_rows(rows):
    text = comparison(rows, ["sweep", "token_steps"], ["swd"])
    assert head(text) == ["sweep", "token_steps", "value"]
    assert [row[:2] for row in body(text)][:3] == [["ar", "8"], ["co-seq", "1"], ["co-seq", "8"]]


def test_rows_are_in_the_order_of_families_and_sizes(rows):
    only = rows.filter(~pl.col("model").is_in(["mdlm-lag"]))
    names = [row[:4] for row in body(comparison(only, ["family", "L", "K", "schedule"]))]
    assert names == [
        ["ar", "-", "-", "-"],
        ["mdlm", "-", "-", "-"],
        ["di-ladd", "2", "3", "joint"],
        ["di-ladd", "2", "3", "sequential"],
        ["di-ladd", "2", "5", "sequential"],
        ["co-ladd", "2", "-", "sequential"],
    ]


@pytest.mark.parametrize(
    ("kept", "by", "names"),
    [
        (["di-joint", "di-seq"], ["K"], ["K", "sweep"]),  # one model, so its key does not tell them apart
        (["di-seq", "di-k5-seq"], ["L"], ["L", "model"]),
        (["di-seq", "di-k5-seq"], ["K"], ["K"]),
        (["mdlm", "mdlm-lag"], ["schedule"], ["schedule", "sweep"]),
        (["mdlm"], ["family"], ["family"]),
    ],
)
def test_sweeps_of_one_group_are_told_apart_and_never_averaged(rows, kept, by, names):
    text = comparison(rows.filter(pl.col("model").is_in(kept)), by, ["swd"])
    assert head(text)[: len(names)] == names
    assert head(text)[len(names) :][:1] == ["1"]
    assert len(body(text)) == len(kept)


def test_each_sweep_is_at_its_base_temperature_unless_temperature_is_a_key(rows):
    mdlm = rows.filter(pl.col("model") == "mdlm")
    assert len(body(comparison(mdlm, ["sweep"], ["swd"]))) == 1
    assert [row[1] for row in body(comparison(mdlm, ["sweep", "temperature"], ["swd"]))] == ["0.5", "0.75", "1"]


@pytest.fixture
def set_temperature(folder):
    """A function that sets the temperature of di-seq; the suite and its results are put back afterwards."""
    before = {path: path.read_text() for path in (Path("params.yaml"), Path("results/evaluate/di-seq.csv"))}

    def set_it(temperature: float) -> None:
        values = yaml.safe_load(before[Path("params.yaml")])
        values["sweeps"]["di-seq"]["temperature"] = temperature
        Path("params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))

    yield set_it
    for path, text in before.items():
        path.write_text(text)


def swd_of(capsys, source: str) -> tuple[dict[str, str], str]:
    """The cells at the first budget by sweep, and what was said."""
    assert main(["compare", "--by", "sweep", "--metric", "swd", "--source", source]) == 0
    captured = capsys.readouterr()
    return {row[0]: row[1] for row in body(captured.out)}, captured.err


def test_sweep_without_a_run_of_today_is_not_shown_and_named(set_temperature, capsys, caplog):
    set_temperature(0.9)
    shown, _ = swd_of(capsys, "mlflow")
    assert shown.keys() == load_suite().sweeps.keys() - {"di-seq"}
    [record] = caplog.records
    assert record.getMessage().startswith("measure@di-seq: MLflow has no run of it as the suite is now")


def test_after_a_revert_mlflow_agrees_with_dvc_though_nothing_was_marked(set_temperature, capsys, caplog):
    before, _ = swd_of(capsys, "dvc")
    set_temperature(0.9)
    path, metric = Path("results/evaluate/di-seq.csv"), pl.col("metric")
    rows = read_results(path).with_columns(value=pl.when(metric == "swd").then(7.0).otherwise(pl.col("value")))
    path.write_text(rows.write_csv())
    track(load_suite())  # marks the run of this temperature, and not that of 1
    assert swd_of(capsys, "mlflow")[0]["di-seq"].startswith("7")
    set_temperature(1.0)
    assert swd_of(capsys, "mlflow")[0] == before
    assert caplog.records == []


def test_marks_count_where_the_inputs_are_not_here(folder, capsys, caplog):
    track(load_suite())
    away = Path("artifacts").rename("away")
    try:
        shown, _ = swd_of(capsys, "mlflow")
    finally:
        away.rename("artifacts")
    assert shown == swd_of(capsys, "dvc")[0]
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(said) == len(load_suite().sweeps)
    assert said[0].endswith("so its run is the one that was last marked as current")


def test_two_suites_stand_side_by_side(folder, rows, tmp_path, monkeypatch):
    write_suite(tmp_path / "suites" / "other", fake_values() | {"suite": "other"})
    monkeypatch.chdir(tmp_path / "suites" / "other")
    os.symlink(folder.parents[1] / "ladd", tmp_path / "ladd")
    fake_results()
    both = sweep_rows([folder, tmp_path / "suites" / "other"], "dvc")
    text = comparison(both, ["sweep"], ["swd"])
    assert head(text)[:2] == ["sweep", "suite"]
    assert sum(row[1] == "other" for row in body(text)) == 7


def test_rows_that_were_not_measured_alike_are_refused(rows):
    changed = pl.when(pl.col("model") == "di-seq").then(99).otherwise(pl.col("n")).alias("n")
    with pytest.raises(ArtifactError, match=r"rows of swd differ in n: .*99 \(di-seq\)"):
        comparison(rows.with_columns(changed), ["K"], ["swd"])


@pytest.mark.parametrize(
    ("by", "metrics", "steps", "message"),
    [
        (["k"], [], [], r"--by k: .*'suite', 'sweep', 'model'"),
        ([], [], [], r"--by names nothing"),
        (["K"], ["sdw"], [], r"--metric sdw: .*\['full_bound', 'swd'\]"),
        (["K"], [], [3], r"--steps 3: .*\[1, 8\]"),
    ],
)
def test_what_is_not_there_is_refused_with_what_there_is(rows, by, metrics, steps, message):
    with pytest.raises(ConfigError, match=message):
        comparison(rows, by, metrics, steps)


def test_results_of_another_suite_are_refused(folder, tmp_path):
    values = fake_values()
    del values["sweeps"]["di-seq"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    os.symlink(folder / "results", tmp_path / "results")
    with pytest.raises(ArtifactError, match="has the sweep 'di-seq'"):
        sweep_rows([tmp_path], "dvc")


def test_missing_store_and_missing_experiment_are_errors(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LADD_LAUNCH", "elsewhere")
    assert main(["compare", "--source", "mlflow"]) == 1
    assert "has no experiment 'tiny@elsewhere'; it has ['Default', 'tiny']" in capsys.readouterr().err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    assert main(["compare", "--source", "mlflow"]) == 1
    assert "mlflow.db" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_key(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    assert f"keys: {', '.join(KEYS)}." in " ".join(capsys.readouterr().out.split())
