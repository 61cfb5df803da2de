"""Lines of a quality figure: one per model and inference schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
from matplotlib.axes import Axes

from ladd.report.labels import FAMILIES
from ladd.report.style import FAMILY_COLOURS, SCHEDULE_LINES

# Of the first, second, ... model of one family and schedule.
MARKERS = {"none": "oD^vPX", "joint": "oD^vPX", "sequential": "sdpv*h"}
FLOOR = "Real data (floor)"
LINE = ("suite", "model", "family", "schedule", "latent_steps")


@dataclass(frozen=True)
class Series:
    """A line: values and standard errors against x, all of one length."""

    label: str
    family: str
    schedule: str
    marker: str
    x: list[float]
    y: list[float]
    error: list[float]  # 0 where none is known
    token_steps: list[int]


def quality_series(summary: pl.DataFrame, x: str) -> list[Series]:
    """SWD of every model and schedule against the column ``x``; rows where x is null or not positive have no place.

    Args:
        summary: what ``summarise`` returns.
        x: token_steps or gmacs_per_sample.
    """
    swd = summary.filter((pl.col("metric") == "swd") & (pl.col("family") != "real") & (pl.col(x) > 0))
    lines = list(swd.sort("token_steps").group_by(LINE, maintain_order=True))
    lines.sort(key=lambda line: (list(FAMILIES).index(line[0][2]), *map(str, line[0])))
    names = [_label(dict(zip(LINE, key, strict=True)), [other for other, _ in lines]) for key, _ in lines]
    seen: dict[tuple[str, str], int] = {}
    made = []
    for label, (key, rows) in zip(names, lines, strict=True):
        family, schedule = key[2], key[3]
        index = seen[family, schedule] = seen.get((family, schedule), -1) + 1
        across, up = rows[x].to_list(), rows["value"].to_list()
        error, steps = rows["stderr"].fill_null(0.0).to_list(), rows["token_steps"].to_list()
        made.append(Series(label, family, schedule, MARKERS[schedule][index % 6], across, up, error, steps))
    return made


def _label(line: dict[str, Any], others: list[tuple]) -> str:
    """Family and schedule, and the model's and suite's names where a family has several."""
    kin = [dict(zip(LINE, key, strict=True)) for key in others if key[2] == line["family"]]
    words = [FAMILIES[line["family"]] + (" sampler" if line["family"] == "exact" else "")]
    words += [line["schedule"]] if line["schedule"] != "none" else []
    words += [line[name] for name in ("model", "suite") if len({other[name] for other in kin}) > 1]
    steps = line["latent_steps"]
    return " ".join(words) + (f"\n+ {steps} latent step{'s' * (steps > 1)}" if steps else "")


def draw(axes: Axes, series: Series) -> None:
    """Line with markers and a band of one standard error; a single point gets an error bar instead."""
    colour = FAMILY_COLOURS[series.family]
    look: dict[str, Any] = {"color": colour, "marker": series.marker, "markeredgecolor": "white"}
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
    axes.plot(series.x, series.y, linestyle=SCHEDULE_LINES[series.schedule], **look)
    # Down to a tenth only: a band that reaches zero has no end on a logarithmic axis.
    low = [max(y - e, y / 10) for y, e in zip(series.y, series.error, strict=True)]
    high = [y + e for y, e in zip(series.y, series.error, strict=True)]
    axes.fill_between(series.x, low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def draw_floor(axes: Axes, summary: pl.DataFrame) -> None:
    """Dashed line and band at the distance between two independent sets of real data."""
    floors = summary.filter((pl.col("metric") == "swd") & (pl.col("family") == "real"))
    for row in floors.iter_rows(named=True):
        error, colour = row["stderr"] or 0.0, FAMILY_COLOURS["real"]
        axes.axhline(row["value"], color=colour, linestyle=(0, (6, 3)), linewidth=1.2, label=FLOOR, zorder=1)
        axes.axhspan(row["value"] - error, row["value"] + error, color=colour, alpha=0.18, linewidth=0, zorder=0)
