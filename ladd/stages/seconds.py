"""How long sampling took: kept apart from results, in files that neither git nor DVC has, as no two runs are equal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from ladd.config import SweepConfig
from ladd.files import file_hash, write_json
from ladd.stages.manifest import MANIFEST

if TYPE_CHECKING:
    from ladd.tracking import TrackedRun

SECONDS = Path("results/seconds")
METRIC, COLUMN = "seconds_per_sequence", "seconds_per_sample"
POINT = ("token_steps", "temperature", "seed")


def write_seconds(key: str, seconds: dict[str, float]) -> None:
    """Keep the seconds per sequence of the samples of a sweep that are there now, by name of their file."""
    write_json(SECONDS / f"{key}.json", {"samples": _samples(key), METRIC: seconds})


def read_seconds(key: str) -> dict[str, float]:
    """Seconds by name of the file of samples; nothing where they are not of the samples that are there."""
    path = SECONDS / f"{key}.json"
    found = json.loads(path.read_text()) if path.is_file() else {}
    return found[METRIC] if found and found["samples"] == _samples(key) else {}


def with_seconds(table: pl.DataFrame, key: str, sweep: SweepConfig) -> pl.DataFrame:
    """Result rows of a sweep with their seconds, and a row for each file of samples; unchanged where none is known."""
    seconds = read_seconds(key)
    if not seconds:
        return table
    runs = [(point, seed) for point in sweep.points for seed in sweep.seeds]
    known = {
        "token_steps": [point.token_steps for point, _ in runs],
        "temperature": [point.temperature for point, _ in runs],
        "seed": [seed for _, seed in runs],
        "measured": [seconds[f"{point.name}-seed-{seed}"] for point, seed in runs],
    }
    filled = table.join(pl.DataFrame(known), on=POINT, how="left", maintain_order="left")
    filled = filled.with_columns(pl.col("measured").alias(COLUMN)).drop("measured")
    rows = filled.filter(pl.col(COLUMN).is_not_null()).unique(POINT, keep="first", maintain_order=True)
    none = pl.lit(None, pl.Float64)
    rows = rows.with_columns(
        pl.lit(METRIC).alias("metric"),
        pl.col(COLUMN).alias("value"),
        none.alias("stderr"),
        pl.lit("").alias("tokenizer"),
    )
    return pl.concat([filled, rows.select(filled.columns)])


def log_seconds(table: pl.DataFrame, key: str, sweep: SweepConfig, run: TrackedRun) -> None:
    from ladd.stages.results import summary_points

    timed = with_seconds(table, key, sweep).filter(pl.col("metric") == METRIC)
    for step, values in summary_points(timed):
        run.log(values, step)


def _samples(key: str) -> str:
    manifest = Path(f"artifacts/samples/{key}") / MANIFEST
    return file_hash(manifest) if manifest.is_file() else "none"
