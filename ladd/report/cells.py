"""A table of text cells, shared by the terminal and the HTML page."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from ladd.report.labels import (
    CONDITIONAL,
    ZERO_SHOT,
    is_conditional,
    meaning,
    plain_name,
    references,
    schedule_name,
    uncertain,
)

ROW = ("suite", "model", "family", "schedule", "L", "K", "w", "latent_steps", "temperature")
NAMES = ("model", "schedule", "latents")
WIDTH = 110  # columns of a terminal
NOTE_WIDTH = 120  # notes are prose
Cells = tuple[str, ...]
Record = Mapping[str, Any]  # a row of the summary, by column
Number = tuple[float, float | None]  # a value and its standard error
CLEAR = 2.0  # standard errors of a difference, from which on it is one
BEST_NOTE = f"bold: the best of a column, and what is within {CLEAR:g} standard errors of it"


@dataclass(frozen=True)
class Block:
    """One table. Its first ``names`` columns say what a row is, the others hold numbers."""

    title: str
    note: str
    columns: Cells
    references: tuple[Cells, ...]  # rows that models are compared with
    rows: tuple[Cells, ...]
    names: int = len(NAMES)
    names_note: str = ""  # what these columns say in the terminal; a page has names in words
    essential: bool = True  # printed in the terminal too
    topic: str = ""  # of the page
    meaning: str = ""  # of its metric, in one line
    # Of all rows, references first: plain names, and what they mean. () where the first cells say it.
    named: tuple[tuple[str, str], ...] = ()
    best: frozenset[tuple[int, int]] = frozenset()  # row of ``rows`` and column

    def part(self, columns: list[int]) -> Block:
        """The same block with some of its columns."""
        head, *body = (tuple(row[i] for i in columns) for row in (self.columns, *self.references, *self.rows))
        above = len(self.references)
        best = frozenset((row, columns.index(column)) for row, column in self.best if column in columns)
        return replace(self, columns=head, references=tuple(body[:above]), rows=tuple(body[above:]), best=best)

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

        note = "; ".join(filter(None, (self.note, self.names_note)))
        lines = [self.title, *(textwrap.wrap(f"({note})", NOTE_WIDTH) if note else [])]
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
    better: str = "",
    means: str = "",
    names_note: str = "",
) -> Block:
    """Cells of a block. A row whose ``column`` is None holds for all columns, as the floor of real data does.

    Args:
        summary: rows of what `summarise` returns.
        columns: names of number columns, in order; those that stay empty are left out.
        column: name of the column that a row of ``summary`` belongs to.
        text: cell of a row of ``summary``.
        latents, essential: see `Block`.
        means: its ``meaning``.
        names_note: see `Block`.
        better: "lower" or "higher", or "" where no value is the best.
    """
    cells: dict[tuple, dict[str, str]] = {}
    numbers: dict[tuple, dict[str, Number]] = {}
    for row in summary.iter_rows(named=True):
        key, name, shown = tuple(row[key] for key in ROW), column(row), text(row)
        cells.setdefault(key, {}).update(dict.fromkeys(columns if name is None else [name], shown))
        if name is not None and not shown.startswith("("):
            numbers.setdefault(key, {})[name] = row["value"], row["stderr"]
    used = [name for name in columns if any(name in filled for filled in cells.values())]
    several, known = summary["suite"].n_unique() > 1, references()
    place = ROW.index("family")
    above, below = ([key for key in cells if (key[place] in known) == reference] for reference in (True, False))

    def line(key: tuple) -> Cells:
        named = dict(zip(ROW, key, strict=True))
        return *names_of(named, with_suite=several), *(cells[key].get(name, "-") for name in used)

    grid = [[*[None] * len(NAMES), *(numbers.get(key, {}).get(name) for name in used)] for key in below]
    block = Block(
        title,
        note,
        (*NAMES, *used),
        tuple(map(line, above)),
        tuple(map(line, below)),
        essential=essential,
        names_note=names_note,
        meaning=means,
        named=tuple(described(dict(zip(ROW, key, strict=True))) for key in (*above, *below)),
        best=best_cells(grid, better) if better else frozenset(),
    )
    return block if latents else block.without_latents()


def described(row: Record) -> tuple[str, str]:
    """Plain name of a row, and what it means."""
    return plain_name(row), meaning(row)


def best_cells(grid: Sequence[Sequence[Number | None]], better: str) -> frozenset[tuple[int, int]]:
    """Row and column of the best number of each column, and of those within CLEAR standard errors of it.

    A column where that is every number has none.

    Args:
        grid: rows of values and standard errors; None takes no part.
        better: "lower" or "higher".
    """
    sign, found = (1 if better == "lower" else -1), set()
    for column, cells in enumerate(zip(*grid, strict=True)):
        there = {row: cell for row, cell in enumerate(cells) if cell is not None}
        if not there:
            continue
        value, error = min(there.values(), key=lambda cell: sign * cell[0])
        tied = {
            row
            for row, (other, own) in there.items()
            if abs(other - value) <= CLEAR * math.hypot(error or 0.0, own or 0.0)
        }
        found |= {(row, column) for row in tied} if len(tied) < len(there) else set()
    return frozenset(found)


def names_of(row: Record, *, with_suite: bool) -> Cells:
    """Naming cells of a row.

    Args:
        row: columns ROW.
    """
    latents = [f"{letter}{row[letter]}" for letter in "LKw" if row[letter]]
    return (
        f"{row['suite']}/{row['model']}" if with_suite else row["model"],
        schedule_name(row["schedule"], row["latent_steps"], row["temperature"]) or "-",
        " ".join(latents) or "-",
    )


def flagged(digits: int) -> Callable[[Record], str]:
    """Value and standard error; in parentheses where the metric looks like a bound on -log p(x) and the row is none."""

    def text(row: Record) -> str:
        plain = uncertain(row["value"], row["stderr"], digits)
        conditional = row["metric"] in CONDITIONAL or row["metric"].startswith(ZERO_SHOT)
        return f"({plain})" if conditional and is_conditional(row["family"], row["schedule"]) else plain

    return text
