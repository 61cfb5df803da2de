"""Lines of a quality figure: one per model and inference schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.axes import Axes

from ladd.registry import discover
from ladd.report.labels import families, family_name
from ladd.report.select import sampled
from ladd.report.style import family_colour, shade
from ladd.samplers.base import Sampler

FLOOR = "Real data (floor)"
FAR = 5  # times below the best model; a line there would leave the models a strip
LINE = ("suite", "model", "family", "schedule", "latent_steps")
SIZE = ("L", "K", "w")


@dataclass(frozen=True)
class Look:
    """How a line is told from others: the colour says family and latent shape, dashes the schedule."""

    label: str
    family: str
    schedule: str
    marker: str
    colour: str


@dataclass(frozen=True)
class Series(Look):
    """A line: values and standard errors against x, all of one length."""

    x: list[float]
    y: list[float]
    error: list[float]  # 0 where none is known
    token_steps: list[int]


def quality_series(summary: pl.DataFrame, x: str, metric: str = "swd") -> list[Series]:
    """A metric of every model and schedule against the column ``x``, without rows where x is null or not positive.

    Args:
        x: token_steps or a key of COSTS.
        metric: one of `sampling`.
    """
    rows = sampled(summary, metric).filter((pl.col("family") != "real") & (pl.col(x) > 0)).sort("token_steps")
    lines = dict(rows.group_by(LINE, maintain_order=True))
    made = []
    for key, look in looks(rows).items():
        across, up = lines[key][x].to_list(), lines[key]["value"].to_list()
        error, steps = lines[key]["stderr"].fill_null(0.0).to_list(), lines[key]["token_steps"].to_list()
        made.append(Series(**vars(look), x=across, y=up, error=error, token_steps=steps))
    return made


def looks(rows: pl.DataFrame) -> dict[tuple, Look]:
    """Look of every line, by its values of LINE, in the order of legends.

    Args:
        rows: of the summary, all that one figure shows.
    """
    # A model's temperature is the same along a line, or, on the frontier, what the line runs over.
    lines = rows.group_by(LINE, maintain_order=True).agg(*(pl.col(name).first() for name in SIZE))
    keys = [tuple(line) for line in lines.select(LINE).iter_rows()]
    sizes = dict(zip(keys, lines.select(SIZE).iter_rows(), strict=True))
    seen: dict[tuple[str, str], int] = {}
    made = {}
    for key in sorted(keys, key=lambda key: (list(families()).index(key[2]), _numbers(sizes[key]), *map(str, key))):
        family, schedule = key[2], key[3]
        index = seen[family, schedule] = seen.get((family, schedule), -1) + 1
        of_family = sorted({size for other, size in sizes.items() if other[2] == family}, key=_numbers)
        colour = shade(family_colour(family), of_family.index(sizes[key]))
        made[key] = Look(_label(key, keys), family, schedule, sampler_kind(schedule).markers[index % 6], colour)
    return made


def sampler_kind(schedule: str) -> type[Sampler]:
    """What says how the lines of a schedule look; that of a model without latents looks like any other."""
    return discover("ladd.samplers", Sampler).get(schedule, Sampler)


def _numbers(size: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(number or 0 for number in size)


def _label(key: tuple, others: list[tuple]) -> str:
    """Family and schedule, and the model's and suite's names where a family has several."""
    line = dict(zip(LINE, key, strict=True))
    family = family_name(line["family"], line["model"])
    every = [dict(zip(LINE, other, strict=True)) for other in others]
    kin = [other for other in every if family_name(other["family"], other["model"]) == family]
    words = [family + (" sampler" if line["family"] == "exact" else "")]
    words += [line["schedule"]] if line["schedule"] != "none" else []
    words += [line[name] for name in ("model", "suite") if len({other[name] for other in kin}) > 1]
    steps = line["latent_steps"]
    return " ".join(words) + (f"\n+ {steps} latent step{'s' * (steps > 1)}" if steps else "")


def draw(axes: Axes, series: Series) -> None:
    """Line with markers and a band of one standard error; a single point gets an error bar instead."""
    look: dict[str, Any] = {"color": series.colour, "marker": series.marker, "markeredgecolor": "white"}
    look |= {"markeredgewidth": 0.7, "label": series.label, "zorder": 3}
    if len(series.x) == 1:
        axes.errorbar(
            series.x,
            series.y,
            yerr=series.error,
            linestyle="none",
            capsize=3,
            **look | {"marker": "D", "markersize": 7, "zorder": 4},
        )
        return
    axes.plot(series.x, series.y, linestyle=sampler_kind(series.schedule).line, **look)
    # Down to a tenth only: a band that reaches zero has no end on a logarithmic axis.
    low = [max(y - e, y / 10) for y, e in zip(series.y, series.error, strict=True)]
    high = [y + e for y, e in zip(series.y, series.error, strict=True)]
    axes.fill_between(series.x, low, high, color=series.colour, alpha=0.18, linewidth=0, zorder=2)


def draw_floor(axes: Axes, summary: pl.DataFrame, lines: list[Series], metric: str = "swd", label: str = FLOOR) -> None:
    """Value of real data (of swd, the distance between two independent sets): dashed line and band.

    Where it is FAR below all ``lines``, it is given in words.
    """
    floors = sampled(summary, metric).filter(pl.col("family") == "real")
    far = pl.col("value") < min(value for line in lines for value in line.y) / FAR
    colour = family_colour("real")
    for row in floors.filter(~far).iter_rows(named=True):
        error = row["stderr"] or 0.0
        axes.axhline(row["value"], color=colour, linestyle=(0, (6, 3)), linewidth=1.2, label=label, zorder=1)
        axes.axhspan(row["value"] - error, row["value"] + error, color=colour, alpha=0.18, linewidth=0, zorder=0)
    if below := [f"{value:.3g}" for value in floors.filter(far)["value"]]:
        axes.margins(y=0.12)  # room for the words
        words, behind = f"{label}: {', '.join(below)}, far below", {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(0.01, 0.02, words, transform=axes.transAxes, fontsize=8.5, color=colour, bbox=behind)
