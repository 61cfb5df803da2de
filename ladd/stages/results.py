"""Result files: tidy rows as CSV, a nested summary for `dvc metrics`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from ladd.config.evaluation import shortest
from ladd.config.replicates import without_replicate
from ladd.errors import ArtifactError
from ladd.evaluation.rows import COLUMNS, Row, TimeRow
from ladd.files import write_atomically, write_json
from ladd.report.select import ALIKE, averaged

if TYPE_CHECKING:
    from ladd.tracking import TrackedRun

TEXT_COLUMNS = (
    *("suite", "model", "family", "schedule", "given", "metric", "precision"),
    *("evaluator_version", "tokenizer"),
)
INTEGER_COLUMNS = ("L", "K", "w", "token_steps", "latent_steps", "n", "documents", "seed", "replicate")
SCHEMA = {name: pl.Int64 if name in INTEGER_COLUMNS else pl.Float64 for name in COLUMNS} | dict.fromkeys(
    TEXT_COLUMNS, pl.String
)


MEASURED = "measured."  # tags of a run, one per metric: JSON of what must be alike among rows that are compared


def write_results(key: str, rows: list[Row]) -> pl.DataFrame:
    """Write ``results/evaluate/KEY.csv``, and KEY.json with its means; returns the table."""
    table = pl.DataFrame([vars(row) for row in rows], schema=SCHEMA)
    folder = Path("results/evaluate")
    write_atomically(folder / f"{key}.csv", table.write_csv().encode())
    write_json(folder / f"{key}.json", nested_means(table))
    return table


def read_results(path: Path) -> pl.DataFrame:
    """Read a table of rows.

    Raises:
        ArtifactError: it is missing, or its columns are not those of the schema.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
    table = pl.read_csv(path, schema_overrides=SCHEMA, empty_string_is_null=False)
    if table.columns != COLUMNS:
        raise ArtifactError(f"{path} has columns {table.columns}, expected {COLUMNS}; run `dvc repro` to make it again")
    return table


LOSS_BY_TIME = Path("results/loss_by_time")
LOSS_BY_TIME_SCHEMA = {
    **dict.fromkeys(("model", "family", "latents"), pl.String),
    **dict.fromkeys(("t_low", "t_high", "weighted", "weighted_stderr", "per_masked", "per_masked_stderr"), pl.Float64),
    "n": pl.Int64,
    "documents": pl.Int64,
    "evaluator_version": pl.String,
}


def bounds_folder(model: str) -> Path:
    """Of the bounds of a model."""
    return Path(f"artifacts/bounds/{model}")


def write_loss_by_time(model: str, rows: list[TimeRow]) -> None:
    """Write ``results/loss_by_time/MODEL.csv``; without rows it has a header alone."""
    table = pl.DataFrame([vars(row) for row in rows], schema=LOSS_BY_TIME_SCHEMA)
    write_atomically(LOSS_BY_TIME / f"{model}.csv", table.write_csv().encode())


def read_loss_by_time(models: Iterable[str]) -> pl.DataFrame:
    """The losses by time of models, means over the trainings of each.

    Raises:
        ArtifactError: a file is missing.
    """
    tables = []
    for model in models:
        if not (path := LOSS_BY_TIME / f"{model}.csv").is_file():
            raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
        tables.append(pl.read_csv(path, schema=LOSS_BY_TIME_SCHEMA, empty_string_is_null=False))
    return _over_trainings(pl.concat(tables))


def _over_trainings(losses: pl.DataFrame) -> pl.DataFrame:
    """Means over the replicates of each model, with the standard errors over them where there are several."""
    named = losses.with_columns(pl.col("model").map_elements(without_replicate, pl.String))
    means = []
    for name in ("weighted", "per_masked"):
        spread = pl.col(name).std(ddof=1) / pl.col(name).count().sqrt()
        own = pl.col(f"{name}_stderr").first()
        means += [pl.col(name).mean(), pl.when(pl.len() > 1).then(spread).otherwise(own).alias(f"{name}_stderr")]
    keys = ("model", "family", "latents", "t_low", "t_high")
    averaged = named.group_by(keys, maintain_order=True).agg(
        *means, pl.col("n", "documents", "evaluator_version").first()
    )
    return averaged.select(losses.columns)


def nested_means(table: pl.DataFrame) -> dict[str, dict]:
    """model -> schedule -> metric -> mean over seeds and trainings; steps_K below metrics that depend on the budget."""
    nested: dict[str, dict] = {}
    for row in _means(table, "model", "schedule"):
        metrics = nested.setdefault(row["model"], {}).setdefault(row["schedule"], {})
        if row["token_steps"] is None:
            metrics[row["metric"]] = row["value"]
        else:
            name = f"steps_{row['token_steps']}" + _heat(row, "_temperature_")
            metrics.setdefault(row["metric"], {})[name] = row["value"]
    return nested


def log_results(table: pl.DataFrame, run: TrackedRun) -> None:
    """File the results of a sweep under its run: points of curves, and how each metric was measured."""
    for step, values in summary_points(table):
        run.log(values, step)
    alike = table.group_by("metric", maintain_order=True).agg(pl.col(name).first() for name in ALIKE)
    run.tag({MEASURED + row.pop("metric"): json.dumps(row) for row in alike.iter_rows(named=True)})


def summary_points(table: pl.DataFrame) -> list[tuple[int, dict[str, float]]]:
    """Means over seeds and their standard errors as points of curves against the step budget.

    What does not depend on the budget is at step 0. The curve of the standard errors of METRIC is METRIC/stderr; at
    another temperature than 1 both names end in /temperature_T.
    """
    points: dict[int, dict[str, float]] = {}
    for row in _means(table):
        values = points.setdefault(row["token_steps"] or 0, {})
        values[row["metric"] + _heat(row, "/temperature_")] = row["value"]
        if row["stderr"] is not None:
            values[row["metric"] + _STDERR + _heat(row, "/temperature_")] = row["stderr"]
    return sorted(points.items())


_STDERR = "/stderr"


class Curve(NamedTuple):
    """What the name of a curve of `summary_points` says."""

    metric: str
    temperature: float
    is_stderr: bool


def read_curve(name: str) -> Curve:
    """The parts of the name of a curve."""
    stem, _, temperature = name.partition("/temperature_")
    return Curve(stem.removesuffix(_STDERR), float(temperature or 1), stem.endswith(_STDERR))


def _means(table: pl.DataFrame, *keys: str) -> Iterator[dict]:
    return averaged(table, (*keys, "metric", "token_steps", "temperature")).iter_rows(named=True)


def _heat(row: dict, prefix: str) -> str:
    """The temperature where it is not 1."""
    return "" if row["temperature"] in (None, 1.0) else f"{prefix}{shortest(row['temperature'])}"
