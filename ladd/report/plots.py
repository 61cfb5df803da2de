"""Figures of sample quality. Equal data give equal bytes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ladd.errors import ArtifactError
from ladd.report.codebook import plot_codebook
from ladd.report.curves import plot_curves
from ladd.report.frontier_plot import plot_frontier
from ladd.report.labels import COSTS, sampling_note
from ladd.report.select import sampled
from ladd.report.series import FLOOR, Series, draw, draw_floor, quality_series
from ladd.report.style import figure_to, note, plain_log_ticks, side_legend
from ladd.report.table import summarise

__all__ = ["plot_codebook", "plot_curves", "plot_frontier", "plot_gen_ppl", "plot_quality_compute", "plot_swd"]


class Quality(NamedTuple):
    """What a figure shows upwards."""

    metric: str
    label: str
    floor: str


SWD = Quality("swd", "sliced Wasserstein distance to real data\n(in units of token value)", FLOOR)
GEN_PPL = Quality("gen_ppl", "Gen PPL", "Real text")
AXES = {"token_steps": "token denoising steps"} | {name: cost.title for name, cost in COSTS.items()}
SWD_COMPUTE = "compute per sample ($10^9$ multiply-adds, latent passes included)"


def plot_swd(compare: pl.DataFrame, path: Path) -> None:
    """SWD against token denoising steps, both logarithmic, with the floor of real data.

    Args:
        compare: tidy table that ``summarise`` takes.
        path: PNG to write.

    Raises:
        ArtifactError: no row of the metric swd has token steps.
    """
    _plot(compare, path, SWD, "token_steps", AXES["token_steps"])


def plot_quality_compute(compare: pl.DataFrame, path: Path) -> None:
    """SWD against the multiply-adds that a sample costs, latent passes included.

    Args:
        compare: tidy table that ``summarise`` takes.
        path: PNG to write.

    Raises:
        ArtifactError: no row of the metric swd has a cost.
    """
    _plot(compare, path, SWD, "gmacs_per_sample", SWD_COMPUTE)


def plot_gen_ppl(compare: pl.DataFrame, path: Path, x: str) -> None:
    """Gen PPL against token steps or a cost, both logarithmic, with that of real text.

    Args:
        compare: tidy table that ``summarise`` takes.
        path: PNG to write.
        x: key of AXES.

    Raises:
        ArtifactError: no row of the metric gen_ppl has ``x``.
    """
    _plot(compare, path, GEN_PPL, x, AXES[x])


def _plot(compare: pl.DataFrame, path: Path, quality: Quality, x: str, title: str) -> None:
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
        axes.set_xlabel(title)


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
