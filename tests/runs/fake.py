"""A suite in a repository of its own, with outputs that no stage made: known numbers, and no training."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import yaml

from ladd.config import Suite, load_suite
from ladd.evaluation.rows import Row
from ladd.files import WEIGHTS, write_atomically, write_json
from ladd.report.blocks import render
from ladd.report.select import summarise
from ladd.stages.declaration import Declaration, read_declaration
from ladd.stages.manifest import write_manifest
from ladd.stages.planned import stages_in_order
from ladd.stages.recorded import history_path
from ladd.stages.results import read_results, write_loss_by_time, write_results
from tests.builders import suite_values
from tests.stages.tiny import REPOSITORY

HISTORY = "step,validation/loss,train/loss\n0,0.75,\n3,0.5,0.625\n6,0.25,0.375\n"


def fake_values() -> dict:
    """The small suite with a second codebook and a sweep that differs from another one in its sampler alone."""
    values = suite_values()
    values["latents"]["discrete-k5"] = values["latents"]["discrete"] | {"codebook": 5}
    values["models"]["di-k5"] = values["models"]["di"] | {"latents": "discrete-k5"}
    values["sweeps"]["di-k5-seq"] = values["sweeps"]["di-seq"] | {"model": "di-k5"}
    values["sweeps"]["mdlm-lag"] = values["sweeps"]["mdlm"] | {"token_lag": 2.0}
    return values


def write_suite(folder: Path, values: dict | None = None) -> None:
    """params.yaml and dvc.yaml; the working directory need not be there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "params.yaml").write_text(yaml.safe_dump(values or fake_values(), sort_keys=False))
    shutil.copy(REPOSITORY / "dvc.yaml", folder)


def distance(key: str, steps: int, seed: int) -> float:
    """A made-up SWD."""
    return 0.01 + 0.001 * len(key) / steps + 0.0001 * seed


def fake_rows(suite: Suite, key: str) -> list[Row]:
    """Rows of a sweep: a bound with its own standard error, and two seeds at every budget."""
    sweep = suite.sweeps[key]
    model = suite.model(sweep.model)
    row = Row(suite=suite.suite, model=key, family=model.family, schedule=sweep.schedule)
    if model.family in ("di-ladd", "co-ladd"):
        shape = suite.latent_shape(model.latents)  # type: ignore[union-attr]
        row = replace(row, L=shape.length, K=shape.codebook, w=shape.width)
    rows = [replace(row, metric="full_bound", value=0.5 + 0.01 * len(key), stderr=0.001, n=6)]
    for point in sweep.points:
        budget = replace(row, token_steps=point.token_steps, temperature=point.temperature, n=sweep.samples, nfe=1.0)
        budget = replace(budget, latent_steps=sweep.latent_steps, metric="swd", stderr=0.5)
        rows += [replace(budget, seed=s, value=distance(key, point.token_steps, s)) for s in sweep.seeds]
    return rows


def fake_results() -> Suite:
    """Write every output of every stage of the suite in the working directory."""
    suite = load_suite()
    for name, key in stages_in_order(yaml.safe_load(Path("params.yaml").read_text())):
        declaration = read_declaration(name, key)
        for path in declaration.outputs:
            if path.parts[0] == "artifacts":
                _fake_artifact(path, declaration)
            elif not path.exists() and path.suffix == ".json":
                write_json(path, {})
        if name in ("stage1", "prior", "baseline", "stage2"):
            write_atomically(history_path(declaration.name), HISTORY.encode())
        if name == "bound":
            write_loss_by_time(str(key), [])
        if name == "measure":
            write_results(str(key), fake_rows(suite, str(key)))
        if name == "reference":
            real = Row(suite=suite.suite, model="real-saw", family="real", metric="swd", value=0.01, n=10, seed=0)
            write_results(f"reference-{key}", [real, replace(real, value=0.02, seed=1)])
    _fake_comparison(suite)
    return suite


def _fake_artifact(path: Path, declaration: Declaration) -> None:
    (path / "checkpoints").mkdir(parents=True, exist_ok=True)
    for split in ("train", "validation"):
        (path / split).mkdir(exist_ok=True)
        (path / split / "00000.arrow").write_text(f"{declaration.name} {split}")
    for step in (3, 6):
        (path / f"checkpoints/step-{step:08d}.safetensors").write_text(f"{declaration.name} at {step}")
    (path / WEIGHTS).write_text(declaration.name)
    write_manifest(path, stage=declaration.name)


def _fake_comparison(suite: Suite) -> None:
    keys = [*(f"reference-{key}" for key in suite.data), *suite.sweeps]
    compare = pl.concat([read_results(Path(f"results/evaluate/{key}.csv")) for key in keys])
    write_atomically(Path("results/compare.csv"), compare.write_csv().encode())
    write_atomically(Path("results/compare.txt"), render(summarise(compare)).encode())
    write_atomically(Path("results/plots/swd.png"), b"a figure")
    write_atomically(Path("results/samples.html"), b"samples")
    write_atomically(Path("results/report.html"), json.dumps(suite.suite).encode())
