"""A table of text cells, shared by the terminal and the HTML page."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from ladd.report.labels import CONDITIONAL, ZERO_SHOT, references, schedule_name, systems_that, uncertain

ROW = ("suite", "model", "family", "schedule", "L", "K", "w", "latent_steps", "temperature")
NAMES = ("model", "schedule", "latents")
WIDTH = 110  # columns of a terminal
NOTE_WIDTH = 120  # notes are prose
Cells = tuple[str, ...]
Record = Mapping[str, Any]  # a row of the summary, by column


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

    def part(self, columns: list[int]) -> Block:
        """The same block with some of its columns."""
        head, *body = (tuple(row[i] for i in columns) for row in (self.columns, *self.references, *self.rows))
        above = len(self.references)
        return replace(self, columns=head, references=tuple(body[:above]), rows=tuple(body[above:]))

    def without_latents(self) -> Block:
        """The same block without the naming column of latents: the bounds already say it, and steps need the room."""
        narrow = self.part([i for i, name in enumerate(self.columns) if name != "latents"])
        return replace(narrow, names=self.names - 1)

    def __str__(self) -> str:
        """Text of the block, in as few and as even parts as WIDTH wants, each with the naming columns again."""
        names, numbers = list(range(self.names)), list(range(self.names, len(self.columns)))
        for size in range(len(numbers), 0, -1):
            size = math.ceil(len(numbers) / math.ceil(len(numbers) / size))
            parts = [self.part(names + numbers[i : i + size]) for i in range(0, len(numbers), size)]
            if all(part.width <= WIDTH for part in parts):
                break
        return "\n\n".join(part.text() for part in parts)

    @property
    def width(self) -> int:
        """Characters of a line."""
        return sum(self._widths()) + 2 * (len(self.columns) - 1)

    def _widths(self) -> list[int]:
        return [max(map(len, cells)) for cells in zip(self.columns, *self.references, *self.rows, strict=True)]

    def text(self) -> str:
        """Text of the block, as wide as it is; "-" is not measured."""
        rule, widths = "-" * self.width, self._widths()

        def line(cells: Cells) -> str:
            left = [cell.ljust(width) for cell, width in zip(cells[: self.names], widths, strict=False)]
            right = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)][self.names :]
            return "  ".join(left + right).rstrip()

        lines = [self.title, *(textwrap.wrap(f"({self.note})", NOTE_WIDTH) if self.note else [])]
        lines += [rule, line(self.columns), rule, *map(line, self.references)]
        lines += [rule] * bool(self.references and self.rows)
        return "\n".join([*lines, *map(line, self.rows)])


EMPTY = Block("", "", NAMES, (), ())


def tabulate(
    title: str,
    note: str,
    summary: pl.DataFrame,
    columns: list[str],
    column: Callable[[Record], str | None],
    text: Callable[[Record], str],
    *,
    latents: bool = True,
    essential: bool = True,
) -> Block:
    """Cells of a block. A row whose ``column`` is None holds for all columns, as the floor of real data does.

    Args:
        summary: rows of what `summarise` returns.
        columns: names of number columns, in order; those that stay empty are left out.
        column: name of the column that a row of ``summary`` belongs to.
        text: cell of a row of ``summary``.
        latents, essential: see `Block`.
    """
    cells: dict[tuple, dict[str, str]] = {}
    for row in summary.iter_rows(named=True):
        filled = cells.setdefault(tuple(row[key] for key in ROW), {})
        name = column(row)
        filled |= dict.fromkeys(columns if name is None else [name], text(row))
    used = [name for name in columns if any(name in filled for filled in cells.values())]
    several = summary["suite"].n_unique() > 1
    made: dict[bool, list[Cells]] = {True: [], False: []}  # by whether it is a reference
    known = references()
    for key, filled in cells.items():
        named = dict(zip(ROW, key, strict=True))
        made[named["family"] in known].append(
            (*names_of(named, with_suite=several), *(filled.get(name, "-") for name in used))
        )
    block = Block(title, note, (*NAMES, *used), tuple(made[True]), tuple(made[False]), essential=essential)
    return block if latents else block.without_latents()


def names_of(row: Record, *, with_suite: bool) -> Cells:
    """Naming cells of a row.

    Args:
        row: columns ROW.
        with_suite: say the suite before the model.
    """
    latents = [f"{letter}{row[letter]}" for letter in "LKw" if row[letter]]
    return (
        f"{row['suite']}/{row['model']}" if with_suite else row["model"],
        schedule_name(row["schedule"], row["latent_steps"], row["temperature"]) or "-",
        " ".join(latents) or "-",
    )


def flagged(digits: int) -> Callable[[Record], str]:
    """Value and standard error; in parentheses where the row is no bound on -log p(x) though its metric looks like one.

    Args:
        digits: decimals.
    """
    given_latents = systems_that("uses_latents")

    def text(row: Record) -> str:
        plain = uncertain(row["value"], row["stderr"], digits)
        conditional = row["metric"] in CONDITIONAL or row["metric"].startswith(ZERO_SHOT)
        return f"({plain})" if conditional and row["family"] in given_latents else plain

    return text
