"""The report of a suite: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import polars as pl

from ladd.errors import ArtifactError
from ladd.files import write_atomically
from ladd.report.blocks import blocks
from ladd.report.table import summarise


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
        title: headline, plain text.
        figures: PNG files by caption, in the order of the page; their bytes go into the page.
        parameters: text of params.yaml.
        provenance: what made the numbers, by name.

    Raises:
        ArtifactError: a figure is missing or no PNG, or ``compare`` cannot be summarised.
    """
    summary = summarise(compare)
    html = rendered(
        "page.html.j2",
        title=title,
        blocks=blocks(summary),
        figures={caption: _embedded(figure) for caption, figure in figures.items()},
        parameters=parameters,
        provenance=provenance,
    )
    write_atomically(path, html.encode())


def _embedded(figure: Path) -> str:
    """PNG as a data URI."""
    if not figure.is_file():
        raise ArtifactError(f"figure {figure} does not exist; draw it before the page is written")
    content = figure.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ArtifactError(f"figure {figure} is not a PNG file; draw it again")
    return "data:image/png;base64," + base64.b64encode(content).decode()


def rendered(template: str, **values: Any) -> str:
    """Text of a template.

    Args:
        template: file name in this folder.
        values: what it names; one that is missing is an error.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)
