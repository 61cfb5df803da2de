"""Throughput per point of Gen PPL (paper Appendix E.2): quality and speed as one number, with the entropy beside it."""

from __future__ import annotations

import polars as pl

from ladd.report.cells import Block, Record, tabulate
from ladd.report.labels import uncertain
from ladd.report.select import sampled, with_entropy


def throughput(summary: pl.DataFrame) -> Block:
    """Sequences per second per point of Gen PPL, 1 / (seconds x Gen PPL), by token steps; higher is better.

    Returns:
        Rows are models and schedules, columns token steps. The standard error is that of Gen PPL alone: seconds are one
        measurement per seed on one machine.
    """
    rows = with_entropy(sampled(summary, "gen_ppl"), summary).filter(pl.col("seconds_per_sample") > 0)
    value = 1 / (pl.col("seconds_per_sample") * pl.col("value"))
    rows = rows.with_columns(value=value, stderr=value * pl.col("stderr") / pl.col("value"))
    steps = [str(step) for step in sorted(rows["token_steps"].drop_nulls().unique())]
    note = "entropy beside it: text of low entropy has a low Gen PPL; the standard error is that of Gen PPL alone"
    title = "Sequences per second per point of Gen PPL, in thousandths · per-sequence entropy, by token steps"

    def column(row: Record) -> str:
        return str(row["token_steps"])

    def text(row: Record) -> str:
        entropy = "" if row["entropy"] is None else f" · {row['entropy']:.2f}"
        error = None if row["stderr"] is None else 1000 * row["stderr"]
        return uncertain(1000 * row["value"], error, 2) + entropy

    return tabulate(title, note, rows, steps, column, text).without_latents().inessential()
