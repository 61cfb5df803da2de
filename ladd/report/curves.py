"""Training curves, one panel per run, the token loss by time t_x, and the use of codebooks."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.lines import Line2D

from ladd.errors import ArtifactError
from ladd.report.labels import families, family_name, named_systems, of_systems
from ladd.report.style import (
    BLACK,
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    family_colour,
    figure_to,
    note,
    plain_log_ticks,
    shade,
    side_legend,
)

IN_NATS = {"loss": BLACK, "token": BLUE, "bound": GREEN}  # nats per token
# On other scales, so in a strip of their own.
OTHERS = {"latent": ORANGE, "commitment": PURPLE}
LOOKS: dict[str, dict[str, Any]] = {"train": {"alpha": 0.35, "linewidth": 1.0}, "validation": {"linewidth": 1.8}}
REPLICATE: dict[str, dict[str, Any]] = {"validation": {"linewidth": 0.9, "alpha": 0.7}}
WARM_UP = 0.05  # part of the run whose high losses may leave the panel
COLUMNS = 3

# By what the tokens are predicted from: line style, and words.
GIVEN: dict[str, tuple[Any, str]] = {
    "clean": ("-", "given clean latents ($t_z = 0$)"),
    "noisy": ((0, (5, 2)), "given noisy latents ($t_z = 0.5$)"),
    "shared": ((0, (5, 2)), "given noisy latents ($t_z$ of $t_x$)"),
    "masked": ((0, (1, 1.5)), "given pure noise ($t_z = 1$)"),
}
# Column of the table: what its panels show.
MEASURES = {
    "weighted": "part of the token loss\n(ELBO weight), nats per token",
    "per_masked": "loss of a masked token,\nno weight, nats",
}
WIDTH = 2.9  # inches of a panel, and of the longest entry of a legend


def plot_curves(histories: dict[str, list[pl.DataFrame]], path: Path, squared: Collection[str] = ()) -> None:
    """Losses against optimiser steps, validation solid and training faint; of replicates the validation alone, thin.

    Args:
        histories: by run, of each of its replicates a table with step, train/loss and validation/loss, and optionally
            train/NAME and validation/NAME for the terms in IN_NATS and OTHERS; a null is a metric not taken then.
        squared: runs whose loss is a squared error of latents, and not in nats per token.

    Raises:
        ArtifactError: there is no run, or a run lacks a column.
    """
    if not histories:
        raise ArtifactError("no training history to plot; train a model first")
    for run, trainings in histories.items():
        for history in trainings:
            if missing := {"step", "train/loss", "validation/loss"} - set(history.columns):
                raise ArtifactError(f"history of {run} lacks {sorted(missing)}; its columns are {history.columns}")
    columns = min(COLUMNS, len(histories))
    rows = math.ceil(len(histories) / columns)
    with figure_to(path, max(4.8, 3.5 * columns), 3.4 * rows + 0.5) as figure:
        grid = figure.add_gridspec(2 * rows, columns, height_ratios=[2.2, 1] * rows)
        for i, (run, trainings) in enumerate(histories.items()):
            row, column = divmod(i, columns)
            unit = "squared error of latents" if run in squared else "nats per token" if column == 0 else ""
            _curves(figure, grid, (2 * row, column), run, trainings, unit)
        names = {name for history, *_ in histories.values() for name in _present(history, IN_NATS | OTHERS)}
        looks: list[dict[str, Any]] = [
            {"color": c, "label": name} for name, c in (IN_NATS | OTHERS).items() if name in names
        ]
        looks += [{"color": "#555555", "linewidth": 1.8, "label": "validation"}]
        looks += [{"color": "#555555", "linewidth": 1.0, "alpha": 0.45, "label": "training"}]
        handles = [Line2D([], [], **look) for look in looks]
        figure.legend(handles=handles, loc="outside lower center", ncols=3 if columns == 1 else len(handles))


def _curves(
    figure: Figure, grid: GridSpec, place: tuple[int, int], run: str, trainings: list[pl.DataFrame], unit: str
) -> None:
    """Losses in one unit, above a strip of the other terms where the run has some."""
    (row, column), (history, *replicates) = place, trainings
    strip = bool(_present(history, OTHERS))
    axes = figure.add_subplot(grid[row : row + (1 if strip else 2), column])
    _lines(axes, history, IN_NATS)
    for other in replicates:
        _lines(axes, other, IN_NATS, REPLICATE)
    columns = [name for name in history.columns if name.split("/")[-1] in IN_NATS]
    settled = history.filter(pl.col("step") >= WARM_UP * pl.col("step").max()).select(columns)
    values = [value for column in settled for value in column.drop_nulls()]
    margin = 0.08 * (max(values) - min(values)) or 0.01
    axes.set_ylim(min(values) - margin, max(values) + margin)
    axes.set_title(run, fontweight="bold")
    axes.set_ylabel(unit)
    if strip:
        axes.tick_params(labelbottom=False)
        axes = figure.add_subplot(grid[row + 1, column], sharex=axes)
        _lines(axes, history, OTHERS)
        for other in replicates:
            _lines(axes, other, OTHERS, REPLICATE)
        low, high = axes.dataLim.intervaly
        if low > 0 and high > 5 * low:
            axes.set_yscale("log")
            plain_log_ticks(axes.yaxis)
        else:
            axes.locator_params(axis="y", nbins=4)
        axes.set_ylabel("other terms" if column == 0 else "")
    axes.set_xlabel("optimiser steps")


def _present(history: pl.DataFrame, terms: dict[str, str]) -> list[str]:
    return [name for name in terms if {f"train/{name}", f"validation/{name}"} & set(history.columns)]


def _lines(axes: Axes, history: pl.DataFrame, terms: dict[str, str], looks: dict[str, dict[str, Any]] = LOOKS) -> None:
    for name in _present(history, terms):
        for part, look in looks.items():
            if f"{part}/{name}" in history.columns:
                line = history.select("step", f"{part}/{name}").drop_nulls()
                axes.plot(line["step"].to_list(), line[f"{part}/{name}"].to_list(), color=terms[name], **look)


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
    falling, size = sorted(probabilities, reverse=True), len(probabilities)
    used = [p for p in falling if p > 0]
    perplexity = math.exp(-sum(p * math.log(p) for p in used))
    label = f"{name}\nperplexity {perplexity:.1f} of {size},\n{len(used)} codes used"
    edges = [i + 0.5 for i in range(size + 1)]
    axes.stairs(falling, edges, color=colour, linewidth=1.6, label=label)
    axes.stairs(falling, edges, color=colour, alpha=0.12, fill=True)
    axes.plot([0.5, size + 0.5], [1 / size] * 2, color=colour, linestyle=(0, (4, 3)), linewidth=1.1)


def loss_by_time_caption(losses: pl.DataFrame) -> str:
    """What the figure shows, in a sentence or two."""
    counts = " to ".join(map(str, sorted(losses["n"].unique())))
    documents = " to ".join(map(str, sorted(losses["documents"].drop_nulls().unique())))
    return (
        "Token loss by time t_x. Above: the part of each tenth of t_x in the token loss with the ELBO weight, nats per "
        "token; the ten parts add up to it. Below: nats per masked token, without a weight. Bands: one standard error "
        f"over {f'the {documents} documents of ' if documents else ''}n = {counts} validation sequences. "
        f"{named_systems('left_to_right')} has no time and is left out"
    )


def plot_loss_by_time(losses: pl.DataFrame, path: Path) -> None:
    """Both losses against t_x, linear, with bands of one standard error: a column per latent-augmented model, each
    beside the baselines.

    Args:
        losses: rows of `TimeRow`.

    Raises:
        ArtifactError: there is no row.
    """
    if losses.is_empty():
        raise ArtifactError("no loss by time to plot; evaluate a sweep of a model with token times first")
    baselines = losses.filter(~of_systems("uses_latents"))
    place = {name: place for place, name in enumerate(families())}
    latent = losses.filter(of_systems("uses_latents"))
    latent = latent.sort(pl.col("family").replace_strict(place, return_dtype=pl.Int64), maintain_order=True)
    models = latent["model"].unique(maintain_order=True).to_list()
    with figure_to(path, max(4.8, WIDTH * len(models) + 0.6), 5.6) as figure:
        grid = figure.subplots(2, max(1, len(models)), squeeze=False, sharex=True, sharey="row")
        for row, (measure, label) in zip(grid, MEASURES.items(), strict=True):
            for axes, model in zip(row, models or [""], strict=True):
                _by_time(axes, pl.concat([baselines, losses.filter(model=model)]), measure)
            row[0].set_ylabel(label)
        for axes, model in zip(grid[0], models, strict=False):
            axes.set_title(_name(losses, model), fontweight="bold", pad=26)  # above the sums
        for axes in grid[1]:
            axes.set_xlabel("$t_x$ (0: clean, 1: all tokens masked)")
            axes.set_xlim(0, 1)
        handles = [
            Line2D([], [], color=_colour(baselines, model), label=_name(baselines, model))
            for model in baselines["model"].unique(maintain_order=True)
        ]
        for name, (style, words) in GIVEN.items():
            if name in set(losses["latents"]):
                handles.append(Line2D([], [], color="#555555", linestyle=style, label=words))
        columns = min(len(handles), max(1, int(figure.get_figwidth() / WIDTH)), 3)
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9)


def _by_time(axes: Axes, rows: pl.DataFrame, measure: str) -> None:
    sums = []
    for (model, latents), line in rows.group_by("model", "latents", maintain_order=True):
        line = line.drop_nulls(measure).sort("t_low")
        at, value = ((line["t_low"] + line["t_high"]) / 2).to_list(), line[measure].to_list()
        error = line[f"{measure}_stderr"].fill_null(0.0).to_list()
        colour, style = _colour(rows, model), GIVEN[latents][0] if latents else "-"
        axes.plot(at, value, color=colour, linestyle=style, marker="o", markersize=2.5)
        low, high = ([y + sign * e for y, e in zip(value, error, strict=True)] for sign in (-1, 1))
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        sums.append(f"{latents or model} {sum(value):.3f}")
    if measure == "weighted":
        words = "sums: " + ",\n".join(filter(None, (", ".join(sums[:2]), ", ".join(sums[2:]))))
        axes.text(0.0, 1.02, words, transform=axes.transAxes, fontsize=8, color=GREY)


def _name(losses: pl.DataFrame, model: str) -> str:
    """Family of a model, and its key where the family has several."""
    pairs = losses.select("model", "family").unique(maintain_order=True).iter_rows()
    names = {key: family_name(family, key) for key, family in pairs}
    return names[model] + (f" {model}" if list(names.values()).count(names[model]) > 1 else "")


def _colour(rows: pl.DataFrame, model: str) -> str:
    family = rows.filter(model=model)["family"][0]
    kin = rows.filter(family=family)["model"].unique(maintain_order=True).to_list()
    return shade(family_colour(family), kin.index(model))
