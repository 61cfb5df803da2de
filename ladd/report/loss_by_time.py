"""Figure of the token loss by time t_x: one column per latent-augmented model, each against the masked baselines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ladd.errors import ArtifactError
from ladd.report.labels import families, family_name, with_latents
from ladd.report.style import GREY, family_colour, figure_to, shade

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
WIDTH = 2.9  # inches of a panel
LEGEND_WIDTH = 2.9  # inches of its longest entry


def loss_by_time_caption(losses: pl.DataFrame) -> str:
    """What the figure shows, in a sentence or two."""
    counts = " to ".join(map(str, sorted(losses["n"].unique())))
    documents = " to ".join(map(str, sorted(losses["documents"].drop_nulls().unique())))
    return (
        "Token loss by time t_x. Above: the part of each tenth of t_x in the token loss with the ELBO weight, nats per "
        "token; the ten parts add up to it. Below: nats per masked token, without a weight. Bands: one standard error "
        f"over {f'the {documents} documents of ' if documents else ''}n = {counts} validation sequences. AR has no "
        "time and is left out"
    )


def plot_loss_by_time(losses: pl.DataFrame, path: Path) -> None:
    """Both losses against t_x, linear, with bands of one standard error.

    Args:
        losses: rows of `TimeRow`.

    Raises:
        ArtifactError: there is no row.
    """
    if losses.is_empty():
        raise ArtifactError("no loss by time to plot; evaluate a sweep of a model with token times first")
    baselines = losses.filter(~pl.col("family").is_in(with_latents()))
    order = pl.col("family").replace_strict({name: place for place, name in enumerate(families())})
    columns = (
        losses.filter(pl.col("family").is_in(with_latents()))
        .sort(order, maintain_order=True)["model"]
        .unique(maintain_order=True)
    )
    panels: list[tuple[str, pl.DataFrame]] = [(model, losses.filter(pl.col("model") == model)) for model in columns]
    with figure_to(path, max(4.8, WIDTH * len(panels) + 0.6), 5.6) as figure:
        grid = figure.subplots(2, max(1, len(panels)), squeeze=False, sharex=True, sharey="row")
        for place, (measure, label) in enumerate(MEASURES.items()):
            for axes, (_, rows) in zip(grid[place], panels or [("", baselines.clear())], strict=True):
                _panel(axes, pl.concat([baselines, rows]), measure)
            grid[place, 0].set_ylabel(label)
        for axes, (model, _) in zip(grid[0], panels, strict=False):
            axes.set_title(_name(losses, model), fontweight="bold", pad=26)  # above the sums
        for axes in grid[1]:
            axes.set_xlabel("$t_x$ (0: clean, 1: all tokens masked)")
            axes.set_xlim(0, 1)
        _legend(figure, losses)


def _panel(axes: Axes, rows: pl.DataFrame, measure: str) -> None:
    sums = []
    for (model, latents), line in rows.group_by("model", "latents", maintain_order=True):
        line = line.drop_nulls(measure).sort("t_low")
        at, value = ((line["t_low"] + line["t_high"]) / 2).to_list(), line[measure].to_list()
        error = line[f"{measure}_stderr"].fill_null(0.0).to_list()
        colour = _colour(rows, model)
        axes.plot(at, value, color=colour, linestyle=_style(latents), marker="o", markersize=2.5)
        low, high = ([y + sign * e for y, e in zip(value, error, strict=True)] for sign in (-1, 1))
        axes.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        sums.append(f"{latents or model} {sum(value):.3f}")
    if measure == "weighted":
        words = "sums: " + ",\n".join(filter(None, (", ".join(sums[:2]), ", ".join(sums[2:]))))
        axes.text(0.0, 1.02, words, transform=axes.transAxes, fontsize=8, color=GREY)


def _name(losses: pl.DataFrame, model: str) -> str:
    """Family of a model, and its key where the family has several."""
    families = dict(losses.select("model", "family").unique(maintain_order=True).iter_rows())
    names = {key: family_name(family, key) for key, family in families.items()}
    return names[model] + (f" {model}" if list(names.values()).count(names[model]) > 1 else "")


def _colour(rows: pl.DataFrame, model: str) -> str:
    family = rows.filter(pl.col("model") == model)["family"][0]
    kin = rows.filter(pl.col("family") == family)["model"].unique(maintain_order=True).to_list()
    return shade(family_colour(family), kin.index(model))


def _style(latents: str) -> Any:
    return GIVEN[latents][0] if latents else "-"


def _legend(figure: Figure, losses: pl.DataFrame) -> None:
    baselines = losses.filter(~pl.col("family").is_in(with_latents()))
    handles = []
    for model in baselines["model"].unique(maintain_order=True):
        handles.append(Line2D([], [], color=_colour(baselines, model), label=_name(baselines, model)))
    present = set(losses["latents"])
    for name, (style, words) in GIVEN.items():
        if name in present:
            handles.append(Line2D([], [], color="#555555", linestyle=style, label=words))
    columns = max(1, int(figure.get_figwidth() / LEGEND_WIDTH))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), columns, 3), fontsize=9)
