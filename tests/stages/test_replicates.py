"""A suite of two trainings: everything trained twice, one table with errors over trainings, one tracked run of each."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import polars as pl
import pytest
import yaml
from mlflow import MlflowClient

from ladd.config.inherit import CLAIMS
from ladd.files import file_hash
from ladd.report.select import summarise
from tests.stages.tiny import make_suite, run_all, run_here, tiny_values

KEPT = {"latents": ["di"], "priors": [], "baselines": ["mdlm"], "models": ["di-ladd"], "sweeps": ["mdlm", "di-seq"]}


def small_values(**changes) -> dict:
    values = tiny_values() | {"root": "../.."}
    return values | {block: {key: values[block][key] for key in keys} for block, keys in KEPT.items()} | changes


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    repository = tmp_path_factory.mktemp("repository")
    claim = {"says": "Latents help at one step.", "claim": 'swd("di-seq", 1) < swd("mdlm", 1)'}
    claims = {CLAIMS: yaml.safe_dump({"help": claim})}
    folder = make_suite(repository, repository / "suites" / "tiny", small_values(replicates=2), claims)
    with contextlib.chdir(folder):
        run_all()
    return folder


def weights(folder: Path, name: str) -> str:
    return file_hash(folder / "artifacts" / name / "weights.safetensors")


def test_every_training_has_weights_of_its_own_and_the_data_are_shared(finished):
    for name in ("latents/di", "models/mdlm", "models/di-ladd"):
        assert weights(finished, name) != weights(finished, f"{name}_2")
    assert [path.name for path in (finished / "artifacts/data").iterdir() if path.is_dir()] == ["sawtooth"]


def test_table_has_a_row_for_each_training_and_its_mean_for_both(finished):
    table = pl.read_csv(finished / "results/compare.csv", infer_schema_length=None)
    swept = table.filter(pl.col("model").is_in(["mdlm", "di-seq"]), metric="swd", token_steps=1)
    assert swept.select("model", "seed", "replicate").rows() == [
        *[("mdlm", 0, 1), ("di-seq", 0, 1)],
        *[("mdlm", 1, 2), ("di-seq", 1, 2)],
    ]
    assert swept["value"].n_unique() == 4
    assert sorted(table.filter(model="mdlm", metric="token_elbo")["replicate"]) == [1, 2]
    row = summarise(table).filter(model="mdlm", metric="swd", token_steps=1).row(0, named=True)
    first, second = swept.filter(model="mdlm")["value"]
    assert row["value"] == pytest.approx((first + second) / 2)
    assert row["stderr"] == pytest.approx(abs(first - second) / 2)
    assert (row["replicates"], row["seeds"]) == (2, 1)
    text = (finished / "results/compare.txt").read_text()
    assert "over 2 trainings, of each n = 32 samples" in text
    assert "_2" not in text


def test_claims_are_judged_over_trainings(finished):
    found = json.loads((finished / "results/claims.json").read_text())
    table = pl.read_csv(finished / "results/compare.csv", infer_schema_length=None)
    swd = table.filter(metric="swd", token_steps=1).sort("replicate")
    margins = [a - b for a, b in zip(*(swd.filter(model=key)["value"] for key in ("mdlm", "di-seq")), strict=True)]
    assert found["claims"]["help"]["margin"] == pytest.approx(sum(margins) / 2)
    assert found["claims"]["help"]["trainings"] == 2
    assert sum(found["verdicts"].values()) == found["verdicts"][found["claims"]["help"]["verdict"]] == 1
    for page in ("compare.txt", "report.html"):
        assert found["claims"]["help"]["verdict"] in (finished / "results" / page).read_text()


def test_samples_are_shown_of_the_first_training(finished):
    page = (finished / "results/samples.html").read_text()
    assert "(di-seq)" in page
    assert "_2" not in page


def test_every_training_is_a_tracked_run(finished):
    client = MlflowClient(tracking_uri=f"sqlite:///{finished.parents[1]}/.mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    stages = {run.data.tags.get("dvc.stage") for run in client.search_runs([experiment.experiment_id])}
    assert {"stage1@di", "stage1@di_2", "stage2@di-ladd_2", "baseline@mdlm_2", "measure@di-seq_2"} <= stages


def test_a_renamed_model_is_the_same_model(finished, tmp_path, monkeypatch):
    values = small_values()
    values["baselines"] = {"other": values["baselines"]["mdlm"]}
    values |= {"models": {}, "latents": {}, "sweeps": {"mdlm": values["sweeps"]["mdlm"] | {"model": "other"}}}
    folder = make_suite(tmp_path / "r", tmp_path / "r/suites/tiny", values)
    monkeypatch.chdir(folder)
    run_here("data", "sawtooth")
    run_here("baseline", "other")
    assert weights(folder, "models/other") == weights(finished, "models/mdlm")
