"""Two HTML pages that need nothing beside them: the report of a suite, and uncurated samples (paper, Section E.5).

The report tells first what was found, then shows three figures (`ladd.report.story`), then all tables, folded by topic.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import polars as pl
from PIL import Image, UnidentifiedImageError

from ladd.errors import ArtifactError
from ladd.files import write_atomically
from ladd.report.blocks import blocks
from ladd.report.cells import BEST_NOTE
from ladd.report.claims import NOTE, Judged, tally
from ladd.report.labels import error_note, families, meaning, metrics, plain_name, references, uncertain
from ladd.report.story import charts, drawn, findings, further
from ladd.tasks.pictures import Picture

SHOWN = 4  # samples per group
BESIDE = 3  # samples per group of the report
FIRST = 8  # claims that are not folded


class SampleGroup(NamedTuple):
    """Samples made alike."""

    title: str  # model and schedule; groups of one title that follow each other share a section
    subtitle: str  # budget, temperature and what was given
    # In the order in which they were drawn, each as pieces of text, with whether a piece was given to the sampler.
    items: Sequence[Sequence[tuple[str, bool]]]
    metrics: Mapping[str, str] = {}  # measured on the whole set of samples, as text by name
    pictures: Sequence[Picture] = ()  # of the items, where they are drawn
    look: str = ""  # of the list of pictures, where they stand for the text too (`ladd.report.drawings`)
    says: str = ""  # what the pictures show, in a sentence


def write_page(
    path: Path,
    *,
    title: str,
    summary: pl.DataFrame,
    figures: Mapping[str, Path],
    claims: Sequence[Judged] = (),
    beside: Sequence[SampleGroup] = (),
    animation: str = "",
    parameters: str,
    provenance: Mapping[str, str],
) -> None:
    """Write the report, whole or not at all.

    Args:
        title: headline, plain text.
        summary: what `summarise` returns.
        beside: samples of models beside real data, of which the first BESIDE are shown.
        figures: further ones, PNG files by caption, in the order of the page; their bytes go into the page.
        animation: a page that `ladd generate --animate` wrote, shown within this one.
        parameters: text of params.yaml.
        provenance: what made the numbers, by name.

    Raises:
        ArtifactError: a figure is missing or no PNG.
    """
    topics: dict[str, list] = {}
    for block in blocks(summary):
        topics.setdefault(block.topic, []).append(block)
    metric, found = findings(summary)
    verdicts = {each.key: each.verdict for each in claims}
    values = {
        "metric": metric,
        "findings": found,
        "claims": claims,
        "tally": [each.split(" ", 1) for each in tally(verdicts)],
        "first": FIRST,
        "claims_note": NOTE,
        "errors": error_note(summary)[:1].upper() + error_note(summary)[1:],
        "beside": beside,
        "shown": BESIDE,
        "charts": charts(summary),
        "further": further(summary),
        "rows": _glossary(summary),
        "topics": topics,
        "best_note": BEST_NOTE,
        "name": "-".join(summary["suite"].unique(maintain_order=True)),
        "numbers": _data("application/gzip", gzip.compress(summary.write_csv().encode(), mtime=0)),
        "verdicts": _data("application/json", _verdicts(claims)) if claims else "",
        "figures": {name: _embedded(figure) for name, figure in figures.items() if name not in drawn(summary)},
        "animation": animation,
        "parameters": parameters,
        "provenance": provenance,
    }
    _write(path, "page.html.j2", title=title, **values)


def _glossary(summary: pl.DataFrame) -> list[tuple[str, str, list[str]]]:
    """Name, meaning and keys of everything that has rows, models first."""
    rows = summary.sort("latent_steps", nulls_last=True, maintain_order=True)  # a likelihood has no latent steps
    rows = rows.unique(("suite", "model", "schedule"), keep="first", maintain_order=True)
    place = pl.col("family").replace_strict({name: i for i, name in enumerate(families())}, return_dtype=pl.Int64)
    rows = rows.sort(place, maintain_order=True)
    known: dict[tuple[bool, str, str], list[str]] = {}
    for row in rows.iter_rows(named=True):
        name = plain_name(row | {"temperature": None})
        keys = known.setdefault((row["family"] in references(), name, meaning(row)), [])
        keys += [row["model"]] * (row["model"] not in keys)
    return [(name, means, keys) for (_, name, means), keys in sorted(known.items(), key=lambda item: item[0][0])]


def _verdicts(claims: Sequence[Judged]) -> bytes:
    written = [{"key": each.key, **each.claim.model_dump(), **each.verdict._asdict()} for each in claims]
    return json.dumps(written, indent=1).encode()


def _data(kind: str, content: bytes) -> str:
    """A data URI."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _embedded(figure: Path) -> str:
    """A PNG file as a data URI, without loss and in two thirds of its bytes."""
    if not figure.is_file():
        raise ArtifactError(f"figure {figure} does not exist; draw it before the page is written")
    buffer = io.BytesIO()
    try:
        Image.open(figure, formats=("PNG",)).convert("RGB").save(buffer, "WEBP", lossless=True, method=6)
    except UnidentifiedImageError:
        raise ArtifactError(f"figure {figure} is not a PNG file; draw it again") from None
    return _data("image/webp", buffer.getvalue())


def write_samples_page(path: Path, samples: Sequence[SampleGroup], *, title: str) -> None:
    """Write the page of samples, whole or not at all: the first SHOWN of every group, never chosen ones.

    Raises:
        ArtifactError: there is no group, or one without samples.
    """
    if not samples:
        raise ArtifactError("no samples to show; run the sample stage first")
    for group in samples:
        if not group.items:
            raise ArtifactError(f"{group.title}, {group.subtitle} has no samples; sample it again")
    sections = [(name, list(groups)) for name, groups in groupby(enumerate(samples), lambda pair: pair[1].title)]
    given = any(flag for group in samples for item in group.items[:SHOWN] for _, flag in item)
    _write(path, "samples.html.j2", title=title, sections=sections, shown=SHOWN, any_given=given)


def _write(path: Path, template: str, **values: Any) -> None:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    write_atomically(path, environment.get_template(template).render(**values).encode())


def sample_metrics(
    summary: pl.DataFrame, *, model: str, token_steps: int | None, temperature: float | None, given: str = ""
) -> dict[str, str]:
    """Metrics of one set of samples, as text by name; what was not measured is left out.

    Args:
        model: key of the sweep, or of a reference.
        token_steps: budget; None for real text.
        temperature: of the sampler; None for real text.
        given: which tokens the sampler was given; "" for none.
    """
    rows = summary.filter(
        pl.col("token_steps").eq_missing(pl.lit(token_steps, pl.Int64)),
        pl.col("temperature").eq_missing(pl.lit(temperature, pl.Float64)),
        model=model,
        given=given,
    )
    found = {row["metric"]: row for row in rows.iter_rows(named=True)}
    return {
        metric.short: uncertain(*_scaled(found[metric.name], metric.factor), min(metric.digits, 3)).replace("±", " ± ")
        for metric in metrics()
        if metric.short and metric.name in found
    }


def _scaled(row: dict[str, Any], factor: float) -> tuple[float, float | None]:
    return factor * row["value"], None if row["stderr"] is None else factor * row["stderr"]
