"""The quality-diversity frontier over temperature: Gen PPL against per-sequence entropy at one step budget."""

from __future__ import annotations

import polars as pl

from ladd.report.cells import Block, Record, tabulate
from ladd.report.labels import REFERENCES, left_to_right, uncertain
from ladd.report.select import with_entropy

PANELS = 3


def frontier_rows(summary: pl.DataFrame) -> pl.DataFrame:
    """Gen PPL of models at all temperatures, nothing given, with the columns entropy and entropy_stderr."""
    swept = (pl.col("metric") == "gen_ppl") & (pl.col("given") == "") & pl.col("temperature").is_not_null()
    rows = with_entropy(summary.filter(swept & ~pl.col("family").is_in([*REFERENCES])), summary)
    return rows.filter(pl.col("entropy").is_not_null())


def real_point(summary: pl.DataFrame) -> pl.DataFrame:
    """Gen PPL and entropy of real text, one row per reference, as ``frontier_rows`` gives them for models."""
    real = (pl.col("metric") == "gen_ppl") & (pl.col("given") == "") & (pl.col("family") == "real")
    return with_entropy(summary.filter(real), summary).filter(pl.col("entropy").is_not_null())


def frontier_budgets(rows: pl.DataFrame) -> list[int]:
    """Step budgets at which a model other than AR has several temperatures: of many the first, middle and last."""
    swept = rows.filter((~pl.col("family").is_in(left_to_right())) & pl.col("token_steps").is_not_null())
    counts = swept.group_by("suite", "model", "schedule", "latent_steps", "token_steps").agg(pl.col("value").count())
    budgets = sorted(set(counts.filter(pl.col("value") > 1)["token_steps"]))
    return budgets if len(budgets) <= PANELS else [budgets[0], budgets[len(budgets) // 2], budgets[-1]]


def at_budget(rows: pl.DataFrame, budget: int) -> pl.DataFrame:
    """Rows at one step budget; AR, which has no choice of steps, is in all.

    Args:
        budget: token steps.
    """
    return rows.filter((pl.col("token_steps") == budget) | pl.col("family").is_in(left_to_right()))


def frontier_blocks(summary: pl.DataFrame) -> list[Block]:
    """One block per budget of ``frontier_budgets``: rows are models and schedules, columns temperatures."""
    rows = frontier_rows(summary)
    return [_block(at_budget(rows, budget), real_point(summary), budget) for budget in frontier_budgets(rows)]


def _block(rows: pl.DataFrame, real: pl.DataFrame, budget: int) -> Block:
    columns = [f"T {temperature:g}" for temperature in sorted(set(rows["temperature"]))]

    def column(row: Record) -> str | None:
        return None if row["at"] is None else f"T {row['at']:g}"

    def text(row: Record) -> str:
        return f"{uncertain(row['value'], row['stderr'], 1)} · {row['entropy']:.2f}"

    # The temperature names the column here, not the row.
    shown = pl.concat([real, rows]).with_columns(at=pl.col("temperature"), temperature=pl.lit(None, pl.Float64))
    title = f"Gen PPL · per-sequence entropy by temperature, at {budget} token step{'s' * (budget > 1)}"
    note = "the standard error is of Gen PPL; AR at its own steps"
    return tabulate(title, note, shown, columns, column, text).without_latents().inessential()
