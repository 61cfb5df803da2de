"""Result files: tidy rows as CSV, a nested summary for `dvc metrics`."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ladd.errors import ArtifactError
from ladd.evaluation.rows import COLUMNS, Row
from ladd.files import write_atomically, write_json

SCHEMA = {
    name: pl.Int64 if name in ("L", "K", "w", "token_steps", "latent_steps", "n", "seed") else pl.Float64
    for name in COLUMNS
} | dict.fromkeys(("suite", "model", "family", "schedule", "metric", "precision", "evaluator_version"), pl.String)


def write_results(key: str, rows: list[Row]) -> None:
    """Write ``results/evaluate/KEY.csv``, and KEY.json with the means over seeds."""
    table = pl.DataFrame([vars(row) for row in rows], schema=SCHEMA)
    folder = Path("results/evaluate")
    write_atomically(folder / f"{key}.csv", table.write_csv().encode())
    write_json(folder / f"{key}.json", nested_means(table))


def read_results(path: Path) -> pl.DataFrame:
    """Read a table of rows.

    Raises:
        ArtifactError: it is missing, or its columns are not those of the schema.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
    table = pl.read_csv(path, schema_overrides=SCHEMA)
    if table.columns != COLUMNS:
        raise ArtifactError(f"{path} has columns {table.columns}, expected {COLUMNS}; run `dvc repro` to make it again")
    return table


def nested_means(table: pl.DataFrame) -> dict[str, dict]:
    """model -> schedule -> metric -> mean over seeds, with a level steps_K below metrics that depend on the budget."""
    keys = ["model", "schedule", "metric", "token_steps"]
    nested: dict[str, dict] = {}
    for model, schedule, metric, steps, value in (
        table.group_by(keys, maintain_order=True).agg(pl.col("value").mean()).iter_rows()
    ):
        metrics = nested.setdefault(model, {}).setdefault(schedule, {})
        if steps is None:
            metrics[metric] = value
        else:
            metrics.setdefault(metric, {})[f"steps_{steps}"] = value
    return nested


def summary_points(rows: list[Row]) -> list[tuple[int, dict[str, float]]]:
    """Means over seeds as points of curves against the step budget; what does not depend on it is at step 0."""
    table = pl.DataFrame([vars(row) for row in rows], schema=SCHEMA)
    means = table.group_by("token_steps", "metric", maintain_order=True).agg(pl.col("value").mean())
    points: dict[int, dict[str, float]] = {}
    for steps, metric, value in means.iter_rows():
        points.setdefault(steps or 0, {})[metric] = value
    return sorted(points.items())
