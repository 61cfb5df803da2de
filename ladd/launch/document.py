"""The params.yaml of an ablation, with a header that says how it was made."""

from __future__ import annotations

from ladd.launch.command import command_of
from ladd.launch.expand import Expansion, Rejected
from ladd.launch.grid import Grid
from ladd.yaml_files import write_yaml


def document(grid: Grid, expansion: Expansion) -> str:
    """Content of params.yaml; equal grids on equal suites give equal bytes."""
    lines = [
        f"Ablation of the suite {grid.suite}: {count(len(expansion.cells), 'cell')}, "
        f"{count(expansion.trainings, 'training')} (docs/ABLATIONS.md). To run it again:",
        f"  {command_of(grid)}",
    ]
    if expansion.notes:
        lines += ["Changed from the base suite, to fit the steps and samples asked for:"]
        lines += [f"  {note}" for note in expansion.notes]
    if expansion.rejected:
        lines += ["Cells that make no sense and are left out:", *rejected_lines(expansion.rejected)]
    header = "\n".join(f"# {line}" for line in lines)
    return f"{header}\n{write_yaml(expansion.values)}"


def rejected_lines(rejected: list[Rejected]) -> list[str]:
    """A line each."""
    return [f"  {each.cell.name}: {each.reason}" for each in rejected]


def count(number: int, noun: str) -> str:
    """Such as 1 cell, 2 cells."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
