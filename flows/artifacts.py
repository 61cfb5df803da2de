"""What a flow leaves to read in Prefect: results of a suite, as artifacts."""

import base64
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact

from flows.environment import HOME, ROOT, running_servers
from flows.secret import auth_string
from ladd.report.blocks import blocks
from ladd.report.select import summarise
from ladd.tracking import tracking_uri


def show_text(name: str, title: str, text: str) -> None:
    """A text in the columns it came in."""
    create_markdown_artifact(f"## {title}\n\n```\n{text.rstrip()}\n```\n", key=_key(name), description=title)


def show_table(name: str, title: str, rows: Sequence[dict[str, Any]]) -> None:
    """Rows under their column names."""
    create_table_artifact(list(rows), key=_key(name), description=title)


def show_results(suite: str, results: Path) -> None:
    """Tables and figures of a suite, and the address of its runs, as far as they are there.

    Args:
        suite: its name.
        results: folder that its compare stage wrote.
    """
    if (table := results / "compare.txt").is_file():
        show_text(f"{suite}-comparison", f"{suite}: comparison", table.read_text())
    if (measurements := results / "compare.csv").is_file():
        _show_blocks(suite, measurements)
    if figures := sorted((results / "plots").glob("*.png")):
        pictures = "\n\n".join(f"### {path.stem}\n\n{_picture(path)}" for path in figures)
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


def _picture(path: Path) -> str:
    return f"![{path.stem}](data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"


def _key(name: str) -> str:
    """Prefect takes lower-case letters, digits and dashes."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def experiment_address(experiment: str) -> str | None:
    """Where the MLflow server of `make ui` shows an experiment; None where it does not run or has none of that name."""
    servers = running_servers()
    if servers is None:
        return None
    name = urllib.parse.quote(experiment)
    address = f"{servers['mlflow']}/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"
    query = urllib.request.Request(address, headers=_authorization())
    try:
        with urllib.request.urlopen(query, timeout=10) as answer:
            identifier = json.load(answer)["experiment"]["experiment_id"]
    except urllib.error.URLError:
        return None
    # Without the type of workflow the address leads to a page about traces of language models.
    return f"{servers['mlflow']}/#/experiments/{identifier}/runs?workflowType=machine_learning"


def _authorization() -> dict[str, str]:
    """The password of this checkout for its own server; for another, what MLflow's client would send."""
    if not tracking_uri(ROOT).startswith("http"):
        credentials = auth_string(HOME)
    elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        credentials = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
    else:
        return {}
    return {"Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}"}
