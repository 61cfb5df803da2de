"""Result files: tidy rows as CSV, a nested summary for `dvc metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from ladd.errors import ArtifactError
from ladd.evaluation.rows import COLUMNS, Row
from ladd.files import write_atomically, write_json

TEXT_COLUMNS = (
    *("suite", "model", "family", "schedule", "given", "metric", "precision"),
    *("evaluator_version", "tokenizer", "git_commit", "versions"),
)
SCHEMA = {
    name: pl.Int64 if name in ("L", "K", "w", "token_steps", "latent_steps", "n", "seed") else pl.Float64
    for name in COLUMNS
} | dict.fromkeys(TEXT_COLUMNS, pl.String)


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
    table = pl.read_csv(path, schema_overrides=SCHEMA, empty_string_is_null=False)
    if table.columns != COLUMNS:
        raise ArtifactError(f"{path} has columns {table.columns}, expected {COLUMNS}; run `dvc repro` to make it again")
    return table


def nested_means(table: pl.DataFrame) -> dict[str, dict]:
    """model -> schedule -> metric -> mean over seeds, with a level steps_K below metrics that depend on the budget."""
    nested: dict[str, dict] = {}
    for row in _means(table, "model", "schedule"):
        metrics = nested.setdefault(row["model"], {}).setdefault(row["schedule"], {})
        if row["token_steps"] is None:
            metrics[row["metric"]] = row["value"]
        else:
            name = f"steps_{row['token_steps']}" + _heat(row, "_temperature_")
            metrics.setdefault(row["metric"], {})[name] = row["value"]
    return nested


def summary_points(rows: list[Row]) -> list[tuple[int, dict[str, float]]]:
    """Means over seeds as points of curves against the step budget; what does not depend on it is at step 0."""
    points: dict[int, dict[str, float]] = {}
    for row in _means(pl.DataFrame([vars(row) for row in rows], schema=SCHEMA)):
        points.setdefault(row["token_steps"] or 0, {})[row["metric"] + _heat(row, "/temperature_")] = row["value"]
    return sorted(points.items())


def _means(table: pl.DataFrame, *keys: str) -> Iterator[dict]:
    groups = table.group_by(*keys, "metric", "token_steps", "temperature", maintain_order=True)
    return groups.agg(pl.col("value").mean()).iter_rows(named=True)


def _heat(row: dict, prefix: str) -> str:
    """The temperature where it is not 1."""
    return "" if row["temperature"] in (None, 1.0) else f"{prefix}{row['temperature']:g}"
