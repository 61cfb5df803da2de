"""The sweeps of suites as summary rows, from what DVC has or from what MLflow has; the two agree.

References are left out: no sweep made them, and they have no runs.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ladd.config import Suite, load_suite
from ladd.config.evaluation import GivenConfig
from ladd.errors import ArtifactError
from ladd.report.labels import REFERENCES
from ladd.report.select import ALIKE, summarise
from ladd.stages.results import MEASURED, SCHEMA, read_curve, read_results

if TYPE_CHECKING:
    from ladd.tracking import Evaluation

TRAINED = "trained"  # key of the model; the summary's ``model`` is the key of the sweep
COLUMNS = (
    *("suite", "model", TRAINED, "family", "schedule", "L", "K", "w", "token_steps", "latent_steps", "temperature"),
    *("given", "metric", "value", "stderr", *ALIKE),
)


def sweep_rows(folders: list[Path], source: str) -> pl.DataFrame:
    """Rows of COLUMNS of all sweeps of the suites in these folders.

    Raises:
        ArtifactError: a suite has no results there.
    """
    read = {"dvc": _from_dvc, "mlflow": _from_mlflow}[source]
    return pl.concat([read(folder, load_suite(folder / "params.yaml")) for folder in folders])


def _from_dvc(folder: Path, suite: Suite) -> pl.DataFrame:
    path = folder / "results" / "compare.csv"
    summary = summarise(read_results(path)).filter(~pl.col("family").is_in([*REFERENCES]))
    if unknown := sorted(set(summary["model"]) - set(suite.sweeps)):
        raise ArtifactError(f"{path} has the sweep {unknown[0]!r}, and params.yaml has not; run `dvc repro`")
    trained = {key: sweep.model for key, sweep in suite.sweeps.items()}
    named = summary.with_columns(pl.col("model").replace_strict(trained, return_dtype=pl.String).alias(TRAINED))
    return _typed(named.select(COLUMNS).rows(named=True))


def _from_mlflow(folder: Path, suite: Suite) -> pl.DataFrame:
    # Here, as mlflow takes seconds to import.
    from ladd.stages.comparison import current_fingerprints
    from ladd.tracking import current_evaluations

    with contextlib.chdir(folder):
        evaluations = current_evaluations(Path(suite.root), suite.suite, current_fingerprints(suite, ["measure"]))
    return _typed([row for evaluation in evaluations for row in _rows_of(evaluation)])


def _rows_of(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    tags, parameters, points = evaluation
    curves = {read_curve(name): curve for name, curve in points.items()}
    same: dict[str, Any] = {name: int(tags[name]) if name in tags else None for name in "LKw"}
    same |= {name: tags[name] for name in ("suite", "family", "schedule")}
    same |= {"model": tags["experiment"], TRAINED: tags["model"]}
    for curve, values in curves.items():
        if curve.is_stderr:
            continue
        errors = curves.get(curve._replace(is_stderr=True), {})
        alike = json.loads(tags[MEASURED + curve.metric])
        for step, value in values.items():
            found = {"metric": curve.metric, "value": value, "stderr": errors.get(step)}
            yield same | alike | found | (_budget(parameters, step, curve.temperature) if step else {"given": ""})


def _budget(parameters: Mapping[str, str], step: int, temperature: float) -> dict[str, Any]:
    """What a point at a step budget was sampled with; a bound is at step 0 and has none of it."""
    kind, share = parameters.get("sweep.given.kind"), parameters.get("sweep.given.share")
    given = GivenConfig.model_validate({"kind": kind, "share": float(share)}).name if kind and share else ""
    latent_steps = int(parameters["sweep.latent_steps"])
    return {"token_steps": step, "latent_steps": latent_steps, "temperature": temperature, "given": given}


def _typed(rows: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={name: SCHEMA.get(name, pl.String) for name in COLUMNS})
