"""The tracked runs of a suite as a table for the terminal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from ladd.config import load_suite

COLUMNS = ("run", "stage", "state", "status", "started", "minutes", "commit")


def listing(folder: str | Path, *, everything: bool = False) -> str:
    """A line for each run, newest first.

    Args:
        everything: superseded runs too.
    Raises:
        ArtifactError: there is no tracking database, or it has no run of the suite.
    """
    from ladd.tracking import list_runs  # mlflow takes seconds to import

    suite = load_suite(Path(folder) / "params.yaml")
    runs = list_runs(Path(folder) / suite.root, suite.suite)
    kept = [run for run in runs if everything or run.current]
    lines = [COLUMNS]
    for run in kept:
        started = datetime.fromtimestamp(run.started / 1000).strftime("%Y-%m-%d %H:%M")
        minutes = "" if run.ended is None else f"{(run.ended - run.started) / 60000:.1f}"
        state = "current" if run.current else "superseded"
        lines.append((run.id, run.stage, state, run.status.lower(), started, minutes, run.commit[:10]))
    widths = [max(len(line[place]) for line in lines) for place in range(len(COLUMNS))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    hidden = len(runs) - len(kept)
    text += [f"{hidden} superseded: --all shows them"] * bool(hidden)
    return "\n".join(text) + "\n"
