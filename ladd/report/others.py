"""Tables of what belongs to no other topic of the page: a table for each kind of measurement."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import polars as pl

from ladd.report.cells import Block, Record, flagged, tabulate

NO_STEPS = "value"  # column of what has neither a budget nor a part behind its name


class Kind(NamedTuple):
    """What metrics whose names begin alike are, in words."""

    title: str
    meaning: str
    parts: Mapping[str, str] = {}  # columns in their order, by what stands behind "/" in the name


KINDS = {
    "latent_reliance": Kind(
        "Token loss by the latents that a model is given, in nats per token (value ± standard error)",
        "how much the tokens rely on the latents: where it is much, those of another sequence cost much",
        {"own": "its own latents", "shuffled": "those of another sequence", "none": "none"},
    ),
    "law_divergence": Kind(
        "Kullback-Leibler divergence of the exact denoiser's law from that of the data, in nats, by token steps",
        "what drawing tokens independently within a step costs, even with a perfect denoiser; 0: the law of the data",
    ),
    "law_total_variation": Kind(
        "Total variation of the exact denoiser's law from that of the data, by token steps",
        "the share of probability that is in the wrong place; 0: the law of the data, 1: nothing in common with it",
    ),
}


def others(summary: pl.DataFrame) -> list[Block]:
    """A block for each kind of measurement; names that no kind knows stand as they are.

    Args:
        summary: rows of what `summarise` returns that no other table shows.
    """
    kinds = summary.with_columns(kind=pl.col("metric").str.split("/").list.first())
    known = [name for name in KINDS if name in set(kinds["kind"])]
    names = [*known, *sorted(set(kinds["kind"]) - set(known))]
    return [_block(name, kinds.filter(kind=name).sort("token_steps", maintain_order=True)) for name in names]


def _block(name: str, rows: pl.DataFrame) -> Block:
    kind = KINDS.get(name, Kind(f"{name}, in its own unit", ""))

    def column(row: Record) -> str:
        part = row["metric"].partition("/")[2]
        steps = "" if row["token_steps"] is None else str(row["token_steps"])
        return ", ".join(filter(None, [kind.parts.get(part, part), steps, row["given"]])) or NO_STEPS

    by_part = rows["token_steps"].is_null().all()  # else budgets need the room
    found = list(dict.fromkeys(column(row) for row in rows.iter_rows(named=True)))
    places = {title: place for place, title in enumerate(kind.parts.values())}
    found.sort(key=lambda title: places.get(title, len(places)))
    return tabulate(kind.title, "", rows, found, column, flagged(4), latents=by_part, means=kind.meaning)
