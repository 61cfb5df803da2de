"""The numbers that a suite is known by."""

from __future__ import annotations

import polars as pl

from ladd.report.labels import BOUNDS, STANDS_IN, sampling
from ladd.report.select import at_base_temperature

BOUND_METRICS = (*BOUNDS, *STANDS_IN, "val_ppl")


def essential_metrics() -> list[str]:
    """The metrics of samples that are printed in the terminal too."""
    return [name for name, shown in sampling().items() if shown.essential]


def headline(summary: pl.DataFrame) -> dict[str, float]:
    """Bounds and the essential metrics of samples, by METRIC/SWEEP, and METRIC/SWEEP/steps_K where there is a budget.

    Sweeps that are given tokens are left out; each other one is at its temperature nearest to 1.
    """
    wanted = pl.col("metric").is_in([*BOUND_METRICS, *essential_metrics()]) & (pl.col("given") == "")
    rows = at_base_temperature(summary.filter(wanted & pl.col("token_steps").is_not_null()))
    rows = pl.concat([summary.filter(wanted & pl.col("token_steps").is_null()), rows])
    return {
        f"{row['metric']}/{row['model']}" + (f"/steps_{row['token_steps']}" if row["token_steps"] else ""): row["value"]
        for row in rows.iter_rows(named=True)
    }
