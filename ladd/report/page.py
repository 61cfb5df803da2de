"""The report of a suite: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

import jinja2
import polars as pl

from ladd.errors import ArtifactError
from ladd.files import write_atomically
from ladd.report.blocks import blocks
from ladd.report.labels import FAMILIES, schedule_name, uncertain
from ladd.report.table import summarise

TEMPLATE = "page.html.j2"


def write_page(
    path: Path,
    *,
    title: str,
    compare: pl.DataFrame,
    figures: Mapping[str, Path],
    parameters: str,
    provenance: Mapping[str, str],
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: HTML file.
        title: headline, plain text.
        compare: tidy table that ``summarise`` takes.
        figures: PNG files by caption, in the order of the page; their bytes go into the page.
        parameters: text of params.yaml.
        provenance: what made the numbers, by name.

    Raises:
        ArtifactError: a figure is missing or no PNG, or ``compare`` cannot be summarised.
    """
    summary = summarise(compare)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template(TEMPLATE).render(
        title=title,
        lead=lead(summary),
        blocks=blocks(summary),
        figures={caption: _embedded(figure) for caption, figure in figures.items()},
        parameters=parameters,
        provenance=provenance,
    )
    write_atomically(path, html.encode())


def lead(summary: pl.DataFrame) -> str:
    """One sentence: who is nearest to real data at the fewest token steps, beside the floor; "" without SWD.

    Args:
        summary: what ``summarise`` returns.
    """
    swd = summary.filter(pl.col("metric") == "swd")
    models = swd.filter(~pl.col("family").is_in(["real", "exact", "oracle"]) & pl.col("token_steps").is_not_null())
    if models.is_empty():
        return ""
    steps = min(models["token_steps"].to_list())
    few = models.filter(pl.col("token_steps") == steps).sort("value")
    parts = [f"With {steps} token step{'s' * (steps > 1)}, {_of(few.row(0, named=True))} comes nearest to real data"]
    parts += [_of(row) for row in few.filter(pl.col("family") == "mdlm").head(1).iter_rows(named=True)]
    floor = [_distance(row) for row in swd.filter(pl.col("family") == "real").head(1).iter_rows(named=True)]
    return "; ".join([*parts, *(f"two real sets are {text} apart" for text in floor)]) + "."


def _of(row: dict) -> str:
    name = " ".join(filter(None, (FAMILIES[row["family"]], schedule_name(row["schedule"], None))))
    passes = "" if row["nfe"] is None else f", {row['nfe']:g} network pass{'es' * (row['nfe'] > 1)}"
    return f"{name} ({row['model']}{passes}: SWD {_distance(row)})"


def _distance(row: dict) -> str:
    return uncertain(row["value"], row["stderr"], 4).replace("±", " ± ")


def _embedded(figure: Path) -> str:
    """PNG as a data URI."""
    if not figure.is_file():
        raise ArtifactError(f"figure {figure} does not exist; draw it before the page is written")
    content = figure.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ArtifactError(f"figure {figure} is not a PNG file; draw it again")
    return "data:image/png;base64," + base64.b64encode(content).decode()
