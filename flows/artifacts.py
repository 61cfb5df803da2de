"""What a flow leaves to read in Prefect: results of a suite, as artifacts."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.environment import ROOT, running_servers
from ladd.errors import ArtifactError, TrackingError
from ladd.report.blocks import blocks
from ladd.report.select import summarise
from ladd.tracking import answering, runs_address, tracked_suites, tracking_uri


def show_text(name: str, title: str, text: str) -> None:
    create_markdown_artifact(f"## {title}\n\n```\n{text.rstrip()}\n```\n", key=_key(name), description=title)


def show_table(name: str, title: str, rows: Sequence[dict[str, Any]]) -> None:
    create_table_artifact(list(rows), key=_key(name), description=title)


def show_results(suite: str, results: Path) -> None:
    """Tables and figures of a suite, and the address of its runs, as far as they are there."""
    if (table := results / "compare.txt").is_file():
        show_text(f"{suite}-comparison", f"{suite}: comparison", table.read_text())
    if (measurements := results / "compare.csv").is_file():
        _show_blocks(suite, measurements)
    if figures := sorted((results / "plots").glob("*.png")):
        encoded = {path.stem: base64.b64encode(path.read_bytes()).decode() for path in figures}
        pictures = "\n\n".join(f"### {k}\n\n![{k}](data:image/png;base64,{data})" for k, data in encoded.items())
        title = f"{suite}: figures"
        create_markdown_artifact(f"## {title}\n\n{pictures}\n", key=_key(f"{suite}-figures"), description=title)
    if (address := experiment_address(suite)) is not None:
        create_link_artifact(address, "runs in MLflow", key=_key(f"{suite}-runs"), description=f"{suite}: runs")


def _show_blocks(suite: str, measurements: Path) -> None:
    summary = summarise(pl.read_csv(measurements, infer_schema_length=None))
    for number, block in enumerate((each for each in blocks(summary) if each.essential), 1):
        columns = [_column(each) for each in block.columns]
        rows = [dict(zip(columns, row, strict=True)) for row in (*block.references, *block.rows)]
        show_table(f"{suite}-table-{number}", f"{suite}: {block.title}", rows)


def _column(name: str) -> str:
    """A column named by a number of steps: the browser would sort bare numbers before all other columns."""
    return f"{name} step{'' if name == '1' else 's'}" if name.isdigit() else name


def _key(name: str) -> str:
    """Prefect takes lower-case letters, digits and dashes."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def experiment_address(experiment: str) -> str | None:
    """Where the MLflow server of `make ui` shows an experiment; None where it does not run or has none of that name."""
    if (servers := running_servers()) is None:
        return None
    try:
        with answering(tracking_uri(ROOT)):
            found = tracked_suites(ROOT).get(experiment)
    except (ArtifactError, TrackingError):
        return None
    return None if found is None else runs_address(servers["mlflow"], found)
