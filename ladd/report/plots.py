"""Figures of sample quality and of codebook use. Equal data give equal bytes."""

from __future__ import annotations

import math
from pathlib import Path

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ladd.errors import ArtifactError
from ladd.report.curves import plot_curves
from ladd.report.labels import sampling_note
from ladd.report.series import FLOOR, Series, draw, draw_floor, quality_series
from ladd.report.style import CYCLE, figure_to, note, plain_log_ticks, side_legend
from ladd.report.table import summarise

__all__ = ["plot_codebook", "plot_curves", "plot_quality_compute", "plot_swd"]

SWD_LABEL = "sliced Wasserstein distance to real data\n(in units of token value)"


def plot_swd(compare: pl.DataFrame, path: Path) -> None:
    """SWD against token denoising steps, both logarithmic, with the floor of real data.

    Args:
        compare: tidy table that ``summarise`` takes.
        path: PNG to write.

    Raises:
        ArtifactError: no row of the metric swd has token steps.
    """
    summary = summarise(compare)
    lines = _some(quality_series(summary, "token_steps"), "token_steps")
    with figure_to(path, 8.6, 4.4) as figure:
        axes = figure.add_subplot()
        _quality(figure, axes, summary, lines)
        axes.set_xscale("log", base=2)
        _integer_ticks(axes, sorted({step for line in lines for step in line.token_steps}))
        axes.set_xlabel("token denoising steps")


def plot_quality_compute(compare: pl.DataFrame, path: Path) -> None:
    """SWD against the multiply-adds that a sample costs, latent passes included.

    Args:
        compare: tidy table that ``summarise`` takes.
        path: PNG to write.

    Raises:
        ArtifactError: no row of the metric swd has a cost.
    """
    summary = summarise(compare)
    lines = _some(quality_series(summary, "gmacs_per_sample"), "gmacs_per_sample")
    with figure_to(path, 8.6, 4.4) as figure:
        axes = figure.add_subplot()
        _quality(figure, axes, summary, lines)
        axes.set_xscale("log")
        plain_log_ticks(axes.xaxis)
        axes.set_xlabel("compute per sample ($10^9$ multiply-adds, latent passes included)")


def _some(lines: list[Series], x: str) -> list[Series]:
    if not lines:
        raise ArtifactError(f"compare has no row of metric swd with {x}; sample and evaluate a sweep first")
    return lines


def _quality(figure: Figure, axes: Axes, summary: pl.DataFrame, lines: list[Series]) -> None:
    draw_floor(axes, summary)
    for line in lines:
        draw(axes, line)
    axes.set_yscale("log")
    plain_log_ticks(axes.yaxis)
    axes.set_ylabel(SWD_LABEL)
    note(axes, sampling_note(summary.filter(pl.col("metric") == "swd")))
    floor = [FLOOR] if FLOOR in axes.get_legend_handles_labels()[1] else []
    side_legend(figure, axes, floor + [line.label for line in lines])


def _integer_ticks(axes: Axes, steps: list[int]) -> None:
    axes.xaxis.set_major_locator(FixedLocator(steps))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def plot_codebook(usage: dict[str, list[float]], path: Path) -> None:
    """How evenly each discrete latent uses its codes.

    Args:
        usage: by latent, the probability of each of its K codes.
        path: PNG to write.

    Raises:
        ArtifactError: there is no latent, or probabilities are negative or do not sum to 1.
    """
    if not usage:
        raise ArtifactError("no codebook to plot; train a discrete latent first")
    with figure_to(path, 8.6, 3.6) as figure:
        axes = figure.add_subplot()
        for (name, probabilities), colour in zip(usage.items(), CYCLE * len(usage), strict=False):
            _usage(axes, name, probabilities, colour)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0.5, max(map(len, usage.values())) + 0.5)
        axes.set_xlabel("codes, most used first")
        axes.set_ylabel("probability of the code")
        note(axes, "dashed: uniform use, 1/K")
        side_legend(figure, axes)


def _usage(axes: Axes, name: str, probabilities: list[float], colour: str) -> None:
    if min(probabilities, default=-1) < 0 or not math.isclose(sum(probabilities), 1, abs_tol=1e-4):
        raise ArtifactError(f"code probabilities of {name} must be at least 0 and sum to 1, not {sum(probabilities)}")
    size, used = len(probabilities), [p for p in sorted(probabilities, reverse=True) if p > 0]
    perplexity = math.exp(-sum(p * math.log(p) for p in used))
    label = f"{name}\nperplexity {perplexity:.1f} of {size},\n{len(used)} codes used"
    falling = sorted(probabilities, reverse=True)
    axes.stairs(falling, [i + 0.5 for i in range(size + 1)], color=colour, linewidth=1.6, label=label)
    axes.stairs(falling, [i + 0.5 for i in range(size + 1)], color=colour, alpha=0.12, fill=True)
    axes.plot([0.5, size + 0.5], [1 / size] * 2, color=colour, linestyle=(0, (4, 3)), linewidth=1.1)
