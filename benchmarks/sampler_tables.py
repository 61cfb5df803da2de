"""Tables of samplers by step budget, in Markdown, and their place in a file."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

CLEAR = 2.0  # standard errors of a difference, below which two are equally good


class Cell(NamedTuple):
    """A value at one budget, lower being better, unless its table says otherwise."""

    value: float
    error: float | None  # standard error; 0 where exact, None where unknown
    passes: float  # mean per sample, as they were made
    exact: bool = False


class Line(NamedTuple):
    """One sampler at all budgets."""

    sampler: str
    settings: str
    process: str  # or the model
    cells: list[Cell]

    def plain(self) -> str:
        """For a terminal, while others are computed."""
        cells = ", ".join(f"{cell.value:.4g}" for cell in self.cells)
        return f"{self.process} {self.sampler} {self.settings}: {cells}"


def cell_of_seeds(values: Sequence[float], passes: Sequence[float]) -> Cell:
    """Mean and standard error over sampling seeds."""
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return Cell(statistics.fmean(values), error, statistics.fmean(passes))


def table(title: str, lines: Sequence[Line], budgets: Sequence[int], *, digits: int, better: str = "lower") -> str:
    """Rows are samplers, columns budgets; the best of every column, and what is as good within the error, are bold."""
    sign = 1 if better == "lower" else -1
    best = [_best(lines, column, sign) for column in range(len(budgets))]
    rows = [
        [
            f"`{line.sampler}`" if line.process else line.sampler,
            line.settings,
            line.process,
            *(
                _shown(cell, budget, digits, bold=bool(line.process) and _equal(cell, top, sign))
                for cell, budget, top in zip(line.cells, budgets, best, strict=True)
            ),
        ]
        for line in lines
    ]
    head = ["Sampler", "Settings", "Of", *(f"K = {budget}" for budget in budgets)]
    body = "".join(f"| {' | '.join(row)} |\n" for row in [head, ["---"] * len(head), *rows])
    return f"{title}\n\n{body}"


def _best(lines: Sequence[Line], column: int, sign: int) -> Cell:
    return min((line.cells[column] for line in lines if line.process), key=lambda cell: sign * cell.value)


def _equal(cell: Cell, best: Cell, sign: int) -> bool:
    error = ((cell.error or 0.0) ** 2 + (best.error or 0.0) ** 2) ** 0.5
    return sign * (cell.value - best.value) <= max(CLEAR * error, 1e-12)


def _shown(cell: Cell, budget: int, digits: int, *, bold: bool) -> str:
    value = f"{max(cell.value, 0.0):.{digits}f}"  # of an exact law, rounding can leave -1e-16
    if cell.error:
        value += f" ± {cell.error:.{digits}f}"
    if bold:
        value = f"**{value}**"
    if cell.exact:
        value += " ="
    if cell.passes and abs(cell.passes - budget) > 0.005 * budget:
        value += f" ({cell.passes:.3g})"
    return value


def write_between(path: Path, name: str, text: str) -> None:
    """Put text between the markers of a name, which are added at the end of a file that has none."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    whole = path.read_text()
    if begin not in whole:
        whole = f"{whole.rstrip()}\n\n{begin}\n{end}\n"
    before, rest = whole.split(begin, 1)
    if end not in rest:
        raise SystemExit(f"{path}: {begin} has no {end}; add it")
    path.write_text(f"{before}{begin}\n{text.strip()}\n{end}{rest.split(end, 1)[1]}")
