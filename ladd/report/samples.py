"""The page of samples: uncurated text per model and budget, as the paper's appendix shows (Section E.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import polars as pl

from ladd.errors import ArtifactError
from ladd.files import write_atomically
from ladd.report.labels import sampling, uncertain
from ladd.report.page import rendered

SHOWN = 4  # samples per group
METRICS = {"gen_ppl": "Gen PPL", "entropy_sequence": "entropy", "distinct_2": "distinct-2", "mauve": "MAUVE"}
Run = tuple[str, bool]  # a piece of text, and whether it was given to the sampler


@dataclass(frozen=True)
class SampleGroup:
    """Samples made alike.

    Attributes:
        title: model and schedule; groups of one title that follow each other share a section.
        subtitle: budget, temperature and what was given.
        items: samples in the order in which they were drawn, each as its runs from left to right.
        metrics: measured on the whole set of samples, as text by name.
    """

    title: str
    subtitle: str
    items: Sequence[Sequence[Run]]
    metrics: dict[str, str] = field(default_factory=dict)


def write_samples_page(
    path: Path, samples: Sequence[SampleGroup], *, title: str, note: str = "", shown: int = SHOWN
) -> None:
    """Write the page, whole or not at all, self-contained. The first ``shown`` of every group, never chosen ones.

    Args:
        samples: groups in the order of the page.
        title: headline, plain text.
        note: of the whole page, such as how the models were trained, plain text.
        shown: samples per group, at least 1.

    Raises:
        ArtifactError: there is no group, or one without samples.
    """
    if not samples:
        raise ArtifactError("no samples to show; run the sample stage first")
    for group in samples:
        if not group.items:
            raise ArtifactError(f"{group.title}, {group.subtitle} has no samples; sample it again")
    sections = [(name, list(groups)) for name, groups in groupby(enumerate(samples), lambda pair: pair[1].title)]
    given = any(flag for group in samples for item in group.items[:shown] for _, flag in item)
    html = rendered("samples.html.j2", title=title, note=note, sections=sections, shown=shown, any_given=given)
    write_atomically(path, html.encode())


def sample_metrics(
    summary: pl.DataFrame,
    *,
    model: str,
    token_steps: int | None,
    temperature: float | None,
    given: str = "",
) -> dict[str, str]:
    """Metrics of one set of samples, as text by name; what was not measured is left out.

    Args:
        model: key of the sweep, or of a reference.
        token_steps: budget; None for real text.
        temperature: of the sampler; None for real text.
        given: which tokens the sampler was given; "" for none.
    """
    rows = summary.filter(
        (pl.col("model") == model)
        & (pl.col("given") == given)
        & pl.col("token_steps").eq_missing(pl.lit(token_steps, pl.Int64))
        & pl.col("temperature").eq_missing(pl.lit(temperature, pl.Float64))
    )
    by_name = {row["metric"]: row for row in rows.iter_rows(named=True)}
    return {
        word: uncertain(by_name[name]["value"], by_name[name]["stderr"], min(sampling()[name].digits, 3)).replace(
            "±", " ± "
        )
        for name, word in METRICS.items()
        if name in by_name
    }
