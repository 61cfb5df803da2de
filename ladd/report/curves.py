"""Training curves, one panel per run, and the use of codebooks."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D

from ladd.errors import ArtifactError
from ladd.report.style import BLACK, BLUE, CYCLE, figure_to, note, plain_log_ticks, side_legend

IN_NATS = {"loss": BLACK, "token": BLUE}  # nats per token
# On other scales, so in a strip of their own.
OTHERS = dict(zip(("latent", "commitment"), CYCLE[1:], strict=False))
LOOKS: dict[str, dict[str, Any]] = {"train": {"alpha": 0.35, "linewidth": 1.0}, "validation": {"linewidth": 1.8}}
WARM_UP = 0.05  # part of the run whose high losses may leave the panel
COLUMNS = 3


def plot_curves(histories: dict[str, pl.DataFrame], path: Path) -> None:
    """Losses against optimiser steps, validation solid and training faint.

    Args:
        histories: by run, a table with step, train/loss and validation/loss, and optionally train/NAME and
            validation/NAME for the terms in IN_NATS and OTHERS; a null is a metric not taken at that step.

    Raises:
        ArtifactError: there is no run, or a run lacks a column.
    """
    if not histories:
        raise ArtifactError("no training history to plot; train a model first")
    for run, history in histories.items():
        if missing := {"step", "train/loss", "validation/loss"} - set(history.columns):
            raise ArtifactError(f"history of {run} lacks {sorted(missing)}; its columns are {history.columns}")
    columns = min(COLUMNS, len(histories))
    rows = math.ceil(len(histories) / columns)
    with figure_to(path, max(4.8, 3.5 * columns), 3.4 * rows + 0.5) as figure:
        grid = figure.add_gridspec(2 * rows, columns, height_ratios=[2.2, 1] * rows)
        for i, (run, history) in enumerate(histories.items()):
            row, column = divmod(i, columns)
            _panel(figure, grid, (2 * row, column), run, history)
        handles = _legend({name for history in histories.values() for name in _present(history, IN_NATS | OTHERS)})
        figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns == 1 else len(handles))


def _panel(figure: Figure, grid: GridSpec, place: tuple[int, int], run: str, history: pl.DataFrame) -> None:
    """Losses in nats, above a strip of the other terms where the run has some."""
    row, column = place
    strip = bool(_present(history, OTHERS))
    axes = figure.add_subplot(grid[row : row + (1 if strip else 2), column])
    _nats(axes, run, history)
    axes.set_ylabel("nats per token" if column == 0 else "")
    if strip:
        axes.tick_params(labelbottom=False)
        axes = figure.add_subplot(grid[row + 1, column], sharex=axes)
        _others(axes, history)
        axes.set_ylabel("other terms" if column == 0 else "")
    axes.set_xlabel("optimiser steps")


def _present(history: pl.DataFrame, terms: dict[str, str]) -> list[str]:
    return [name for name in terms if {f"train/{name}", f"validation/{name}"} & set(history.columns)]


def _lines(axes: Axes, history: pl.DataFrame, terms: dict[str, str]) -> None:
    for name in _present(history, terms):
        for part, look in LOOKS.items():
            if f"{part}/{name}" in history.columns:
                line = history.select("step", f"{part}/{name}").drop_nulls()
                axes.plot(line["step"].to_list(), line[f"{part}/{name}"].to_list(), color=terms[name], **look)


def _nats(axes: Axes, run: str, history: pl.DataFrame) -> None:
    _lines(axes, history, IN_NATS)
    columns = [name for name in history.columns if name.split("/")[-1] in IN_NATS]
    settled = history.filter(pl.col("step") >= WARM_UP * pl.col("step").max()).select(columns)
    values = [value for column in settled for value in column.drop_nulls()]
    margin = 0.08 * (max(values) - min(values)) or 0.01
    axes.set_ylim(min(values) - margin, max(values) + margin)
    axes.set_title(run, fontweight="bold")


def _others(axes: Axes, history: pl.DataFrame) -> None:
    _lines(axes, history, OTHERS)
    low, high = axes.dataLim.intervaly
    if low > 0 and high > 5 * low:
        axes.set_yscale("log")
        plain_log_ticks(axes.yaxis)
    else:
        axes.locator_params(axis="y", nbins=4)


def _legend(names: set[str]) -> list[Line2D]:
    colours = IN_NATS | OTHERS
    handles = [Line2D([], [], color=colours[name], label=name.replace("_", " ")) for name in colours if name in names]
    handles.append(Line2D([], [], color="#555555", linewidth=1.8, label="validation"))
    handles.append(Line2D([], [], color="#555555", linewidth=1.0, alpha=0.45, label="training"))
    return handles


def plot_codebook(usage: dict[str, list[float]], path: Path) -> None:
    """How evenly each discrete latent uses its codes.

    Args:
        usage: by latent, the probability of each of its K codes.

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
        side_legend(figure, [axes])


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
