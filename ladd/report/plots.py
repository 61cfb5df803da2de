"""Figures of sample quality, and which of them a table has rows for. Equal data give equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ladd.errors import ArtifactError
from ladd.report.frontier import frontier_budgets, frontier_rows
from ladd.report.frontier_plot import plot_frontier
from ladd.report.labels import COSTS, sampling_note
from ladd.report.select import sampled
from ladd.report.series import FLOOR, Series, draw, draw_floor, quality_series
from ladd.report.style import figure_to, note, plain_log_ticks, side_legend
from ladd.report.table import summarise


class Quality(NamedTuple):
    """What a figure shows upwards."""

    metric: str
    label: str
    floor: str


SWD = Quality("swd", "sliced Wasserstein distance to real data\n(in units of token value)", FLOOR)
GEN_PPL = Quality("gen_ppl", "Gen PPL", "Real text")
AXES = {"token_steps": "token denoising steps"} | {name: cost.title for name, cost in COSTS.items()}


def plot_quality(compare: pl.DataFrame, path: Path, quality: Quality, x: str, title: str = "") -> None:
    """A metric against token steps or a cost, ``x`` of AXES, both logarithmic, with the value of real data.

    Raises:
        ArtifactError: no row of the metric has ``x``.
    """
    summary = summarise(compare)
    lines = quality_series(summary, x, quality.metric)
    if not lines:
        raise ArtifactError(
            f"compare has no row of metric {quality.metric} with {x}; sample and evaluate a sweep first"
        )
    with figure_to(path, 8.6, 4.4) as figure:
        axes = figure.add_subplot()
        _quality(figure, axes, summary, lines, quality)
        if x == "token_steps":
            axes.set_xscale("log", base=2)
            _integer_ticks(axes, sorted({step for line in lines for step in line.token_steps}))
        else:
            axes.set_xscale("log")
            plain_log_ticks(axes.xaxis)
        axes.set_xlabel(title or AXES[x])


def _quality(figure: Figure, axes: Axes, summary: pl.DataFrame, lines: list[Series], quality: Quality) -> None:
    draw_floor(axes, summary, lines, quality.metric, quality.floor)
    for line in lines:
        draw(axes, line)
    axes.set_yscale("log")
    plain_log_ticks(axes.yaxis)
    axes.set_ylabel(quality.label)
    note(axes, sampling_note(sampled(summary, quality.metric)))
    floor = [quality.floor] if quality.floor in axes.get_legend_handles_labels()[1] else []
    side_legend(figure, [axes], floor + [line.label for line in lines])


def _integer_ticks(axes: Axes, steps: list[int]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


# (what, against what): words of the caption, stem of the file, title of the axis if it is not that of `AXES`.
FIGURES = {
    (SWD, "token_steps"): ("Sliced Wasserstein distance against token steps", "swd", ""),
    (SWD, "gmacs_per_sample"): (
        "Sliced Wasserstein distance against compute",
        "swd-compute",
        "compute per sample ($10^9$ multiply-adds, latent passes included)",
    ),
}
# Words of the caption and stem of the file, by column.
GEN_PPL_AGAINST = {
    "token_steps": ("token steps", "gen-ppl"),
    "nominal_gmacs_per_sample": (f"{COSTS['nominal_gmacs_per_sample'].unit}, as the paper counts", "gen-ppl-backbone"),
    "gmacs_per_sample": (f"{COSTS['gmacs_per_sample'].unit}, passes that were needed", "gen-ppl-made"),
    "gflops_per_sample": (f"{COSTS['gflops_per_sample'].unit}, head and latent passes included", "gen-ppl-compute"),
    "seconds_per_sample": ("wall-clock time", "gen-ppl-seconds"),
}
FIGURES |= {
    (GEN_PPL, x): (f"Gen PPL against {against}; down is better, at equal entropy", stem, "")
    for x, (against, stem) in GEN_PPL_AGAINST.items()
}


def quality_figures(compare: pl.DataFrame, folder: Path) -> dict[str, Path]:
    """Draw every figure of sample quality that the table has rows for, into a folder.

    Returns:
        Files by caption, in the order of the page; none for a table without samples.
    """
    summary = summarise(compare)
    made = {}
    for (quality, x), (caption, stem, title) in FIGURES.items():
        if quality_series(summary, x, quality.metric):
            made[caption] = folder / f"{stem}.png"
            plot_quality(compare, made[caption], quality, x, title)
    if frontier_budgets(frontier_rows(summary)):
        caption = "Quality and diversity over temperature: down and to the right is better"
        made[caption] = folder / "frontier.png"
        plot_frontier(compare, made[caption])
    return made
