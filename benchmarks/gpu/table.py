"""The results of a check of a GPU as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.gpu.runner import FAILED, PASSED, SKIPPED

Plain = Mapping[str, Any]


def markdown(report: Plain) -> str:
    """All tables of a report as `benchmarks.gpu_check` writes it."""
    title = "Rehearsal of the GPU check" if report["rehearsal"] else "GPU check"
    lines = [f"# {title}: {report['machine']['device']}", ""]
    if report["rehearsal"]:
        lines += ["Tiny sizes on a CPU: these figures say nothing about a GPU.", ""]
    lines += [", ".join(f"{name} {value}" for name, value in report["machine"].items()) + ".", ""]
    by_check = {name: [row for row in report["results"] if row["check"] == name] for name in report["titles"]}
    lines += _table(
        ["check", PASSED, FAILED, SKIPPED, "seconds"],
        [
            [name, *(str(_count(rows, status)) for status in (PASSED, FAILED, SKIPPED)), f"{_seconds(rows):.1f}"]
            for name, rows in by_check.items()
        ],
    )
    for name, rows in by_check.items():
        lines += [f"## {name}: {report['titles'][name]}", "", *_values(rows)]
        for row in rows:
            if row["error"]:
                lines += [f"**{row['part']}** {row['status']}:", "", *_indented(row["error"]), ""]
    lines += [f"FLOPs: {report['flops']}", ""]
    return "\n".join(lines)


def _count(rows: Sequence[Plain], status: str) -> int:
    return sum(row["status"] == status for row in rows)


def _seconds(rows: Sequence[Plain]) -> float:
    return sum(row["seconds"] for row in rows)


def _values(rows: Sequence[Plain]) -> list[str]:
    """A row for every part, a column for every value that one of them has."""
    columns = list(dict.fromkeys(name for row in rows for name in row["values"]))
    cells = [
        [row["part"], row["status"], *(cell(row["values"].get(name)) for name in columns), f"{row['seconds']:.1f}"]
        for row in rows
    ]
    return _table(["", "status", *columns, "seconds"], cells)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _indented(text: str) -> list[str]:
    return [f"    {line}" for line in text.rstrip().splitlines()]


def cell(value: Any) -> str:
    """A value in a table: counts in full, other numbers to four digits, a list item by item."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return " ".join(map(cell, value))
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
