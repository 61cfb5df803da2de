"""A table of text cells, shared by the terminal and the HTML page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from ladd.report.labels import REFERENCES, ZERO_SHOT, schedule_name, uncertain, with_latents

ROW = ("suite", "model", "family", "schedule", "L", "K", "w", "latent_steps", "temperature")
NAMES = ("model", "schedule", "latents")
NOT_AVAILABLE = "n/a"  # between no two measured budgets
Cells = tuple[str, ...]
Record = dict[str, Any]  # a row of the summary, by column


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

    def without_latents(self) -> Block:
        """The same block without the naming column of latents: the bounds already say it, and steps need the room."""
        narrow = self.part([i for i, name in enumerate(self.columns) if name != "latents"])
        return replace(narrow, names=self.names - 1)

    def inessential(self) -> Block:
        """The same block, on the page alone."""
        return replace(self, essential=False)


def tabulate(
    title: str,
    note: str,
    summary: pl.DataFrame,
    columns: list[str],
    column: Callable[[Record], str | None],
    text: Callable[[Record], str],
) -> Block:
    """Cells of a block. A row whose ``column`` is None holds for all columns, as the floor of real data does.

    Args:
        title: of the block.
        note: below the title.
        summary: rows of what ``summarise`` returns.
        columns: names of number columns, in order; those that stay empty are left out.
        column: name of the column that a row of ``summary`` belongs to.
        text: cell of a row of ``summary``.
    """
    cells: dict[tuple, dict[str, str]] = {}
    for row in summary.iter_rows(named=True):
        filled = cells.setdefault(tuple(row[key] for key in ROW), {})
        name = column(row)
        filled |= dict.fromkeys(columns if name is None else [name], text(row))
    used = [name for name in columns if any(name in filled for filled in cells.values())]
    several = summary["suite"].n_unique() > 1
    made = [
        (key[2] in REFERENCES, (*names_of(key, with_suite=several), *(filled.get(name, "-") for name in used)))
        for key, filled in cells.items()
    ]
    references, rows = (tuple(row for flag, row in made if flag is wanted) for wanted in (True, False))
    return Block(title, note, (*NAMES, *used), references, rows)


def names_of(key: tuple, *, with_suite: bool) -> Cells:
    """Naming cells of a row.

    Args:
        key: values of ROW.
        with_suite: say the suite before the model.
    """
    suite, model, _, schedule, *sizes, latent_steps, temperature = key
    latents = [f"{letter}{size}" for letter, size in zip("LKw", sizes, strict=True) if size]
    return (
        f"{suite}/{model}" if with_suite else model,
        schedule_name(schedule, latent_steps, temperature) or "-",
        " ".join(latents) or "-",
    )


def flagged(digits: int) -> Callable[[Record], str]:
    """Value and standard error; in parentheses where the row is no bound on -log p(x) though its metric looks like one.

    Args:
        digits: decimals.
    """

    def text(row: Record) -> str:
        plain = uncertain(row["value"], row["stderr"], digits)
        conditional = row["metric"] in ("token_elbo", "val_ppl") or row["metric"].startswith(ZERO_SHOT)
        return f"({plain})" if conditional and row["family"] in with_latents() else plain

    return text
