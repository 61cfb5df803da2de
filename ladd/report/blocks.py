"""The summary as blocks of text cells, shared by the terminal and the HTML page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from ladd.report.labels import (
    BOUNDS,
    BOUNDS_NOTE,
    CONDITIONAL,
    REFERENCES,
    SAMPLING,
    STANDS_IN,
    sampling_note,
    schedule_name,
    uncertain,
)

ROW = ("suite", "model", "family", "schedule", "L", "K", "w", "latent_steps")
NAMES = ("model", "schedule", "latents")
Cells = tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """One table. Its first ``names`` columns say what a row is, the others hold numbers."""

    title: str
    note: str
    columns: Cells
    references: tuple[Cells, ...]  # rows that models are compared with
    rows: tuple[Cells, ...]
    names: int = len(NAMES)
    essential: bool = True  # printed in the terminal too

    @property
    def widths(self) -> list[int]:
        """Characters of each column."""
        return [max(map(len, cells)) for cells in zip(self.columns, *self.references, *self.rows, strict=True)]

    def part(self, columns: list[int]) -> Block:
        """The same block with some of its columns."""

        def cut(row: Cells) -> Cells:
            return tuple(row[i] for i in columns)

        references, rows = tuple(map(cut, self.references)), tuple(map(cut, self.rows))
        return replace(self, columns=cut(self.columns), references=references, rows=rows)


def blocks(summary: pl.DataFrame) -> list[Block]:
    """Bounds, one block per sampling metric, then whatever else was measured; empty blocks are left out.

    Args:
        summary: what ``summarise`` returns.
    """
    bounds = pl.col("metric").is_in([*BOUNDS, *STANDS_IN])
    sampled = pl.col("metric").is_in(list(SAMPLING))
    candidates = [_bounds(summary.filter(bounds))]
    candidates += [_by_steps(summary.filter(pl.col("metric") == name), name) for name in SAMPLING]
    candidates.append(_others(summary.filter(~bounds & ~sampled)))
    return [block for block in candidates if block.rows or block.references]


def _bounds(summary: pl.DataFrame) -> Block:
    def column(row: dict[str, Any]) -> str:
        return BOUNDS[STANDS_IN.get(row["metric"], row["metric"])]

    title = "Likelihood terms, in nats per token (value ± standard error)"
    return _block(title, BOUNDS_NOTE, summary, list(BOUNDS.values()), column)


def _by_steps(summary: pl.DataFrame, metric: str) -> Block:
    def column(row: dict[str, Any]) -> str | None:
        return None if row["token_steps"] is None else str(row["token_steps"])

    title, factor = SAMPLING[metric]
    steps = [str(step) for step in sorted(summary["token_steps"].drop_nulls().unique())] or ["any"]
    scaled = summary.with_columns(pl.col("value", "stderr") * factor)
    latents_first = (summary["latent_steps"].fill_null(0) > 0).any()
    note = sampling_note(summary) + ("; +N: N latent steps first" if latents_first else "")
    digits = 2 if factor > 1 else 4
    block = _block(f"{title}, by token steps", note, scaled, steps, column, digits)
    # The bounds already say what each model's latents are, and steps need the room.
    narrow = block.part([i for i, name in enumerate(block.columns) if name != "latents"])
    return replace(narrow, names=len(NAMES) - 1, essential=metric == "swd")


def _others(summary: pl.DataFrame) -> Block:
    def column(row: dict[str, Any]) -> str:
        return row["metric"] + ("" if row["token_steps"] is None else f", {row['token_steps']} steps")

    labels = sorted({column(row) for row in summary.iter_rows(named=True)})
    return _block("Other measurements, each in its own unit", "", summary, labels, column)


def _block(
    title: str,
    note: str,
    summary: pl.DataFrame,
    columns: list[str],
    column: Callable[[dict[str, Any]], str | None],
    digits: int = 4,
) -> Block:
    """Cells of a block. A row whose ``column`` is None holds for all columns, as the floor of real data does."""
    cells: dict[tuple, dict[str, str]] = {}
    for row in summary.iter_rows(named=True):
        filled = cells.setdefault(tuple(row[key] for key in ROW), {})
        name, text = column(row), uncertain(row["value"], row["stderr"], digits)
        if row["metric"] == "token_elbo" and row["family"] in CONDITIONAL:
            text = f"({text})"
        filled |= dict.fromkeys(columns if name is None else [name], text)
    used = [name for name in columns if any(name in filled for filled in cells.values())]
    several = summary["suite"].n_unique() > 1
    made = [
        (key[2] in REFERENCES, (*_names(key, several), *(filled.get(name, "-") for name in used)))
        for key, filled in cells.items()
    ]
    references, rows = (tuple(row for flag, row in made if flag is wanted) for wanted in (True, False))
    return Block(title, note, (*NAMES, *used), references, rows)


def _names(key: tuple, with_suite: bool) -> Cells:
    suite, model, _, schedule, *sizes, latent_steps = key
    latents = [f"{letter}{size}" for letter, size in zip("LKw", sizes, strict=True) if size]
    return (
        f"{suite}/{model}" if with_suite else model,
        schedule_name(schedule, latent_steps) or "-",
        " ".join(latents) or "-",
    )
