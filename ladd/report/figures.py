"""Figures of sample quality, and which of them a table has rows for. Equal data give equal bytes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ladd.errors import ArtifactError
from ladd.registry import discover
from ladd.report import against, labels
from ladd.report.blocks import at_budget, frontier
from ladd.report.select import sampled
from ladd.report.style import BLACK, GREY, family_colour, figure_to, note, plain_log_ticks, shade, side_legend
from ladd.samplers.base import Sampler

FAR = 5  # times below the best model; a line there would leave the models a strip
LINE = ("suite", "model", "family", "schedule", "latent_steps")
SIZE = ("L", "K", "w")


class Line(NamedTuple):
    """A model under one inference schedule: the colour says family and latent shape, dashes the schedule."""

    label: str
    sampler: type[Sampler]
    marker: str
    colour: str
    rows: pl.DataFrame


def lines_of(rows: pl.DataFrame) -> dict[tuple, Line]:
    """The lines of a figure by their values of LINE, in the order of legends.

    Args:
        rows: of the summary, all that the figure shows, in the order of points.
    """
    # A model's temperature is the same along a line, or, on the frontier, what the line runs over.
    groups: dict[tuple, pl.DataFrame] = dict(rows.group_by(LINE, maintain_order=True))
    sizes = {key: tuple(size or 0 for size in group.select(SIZE).row(0)) for key, group in groups.items()}
    samplers = discover("ladd.samplers", Sampler)
    seen: Counter[tuple[str, str]] = Counter()
    made = {}
    for key in sorted(groups, key=lambda key: (list(labels.families()).index(key[2]), sizes[key], *map(str, key))):
        family, schedule = key[2], key[3]
        of_family = sorted({size for other, size in sizes.items() if other[2] == family})
        colour = shade(family_colour(family), of_family.index(sizes[key]))
        sampler = samplers.get(schedule, Sampler)  # that of a model without latents looks like any other
        marker = sampler.markers[seen[family, sampler.markers] % 6]
        seen[family, sampler.markers] += 1
        made[key] = Line(_label(key, list(groups)), sampler, marker, colour, groups[key])
    return made


def _label(key: tuple, others: list[tuple]) -> str:
    """Family, schedule and latent steps, and the model's and suite's names where they are those of several."""

    def plain(key: tuple) -> tuple[str, ...]:
        _, model, family, schedule, steps = key
        name = labels.family_name(family, model) + " sampler" * (family in labels.references())
        return (
            name,
            labels.shown_schedule(family, schedule),
            f"\n+ {steps} latent step{'s' * (steps > 1)}" if steps else "",
        )

    name, shown, behind = plain(key)
    alike = [other for other in others if plain(other) == plain(key)]
    apart = [key[part] for part in (1, 0) if len({other[part] for other in alike}) > 1]
    return " ".join(filter(None, [name, shown, *apart])) + behind


def metric_lines(summary: pl.DataFrame, figure: against.Figure) -> list[Line]:
    """A metric of every model and schedule, without rows where ``figure.x`` is null or not positive."""
    rows = _shown(summary, figure).filter(pl.col("family") != labels.REAL, pl.col(figure.x) > 0)
    return list(lines_of(rows.sort("token_steps")).values())


def logarithmic(lines: list[Line], figure: against.Figure) -> bool:
    """Whether the vertical axis is: as the metric asks, where a logarithm has a place for every value."""
    return figure.scale == "log" and min(value for line in lines for value in line.rows["value"]) > 0


def _shown(summary: pl.DataFrame, figure: against.Figure) -> pl.DataFrame:
    return sampled(summary, figure.metric.name).with_columns(pl.col("value", "stderr") * figure.metric.factor)


def sample_figures(summary: pl.DataFrame, folder: Path) -> dict[str, Path]:
    """Draw every figure of samples that the summary has rows for, into a folder.

    Returns:
        Files by caption, in the order of the page; none for a table without samples.
    """
    made = {}
    for figure in against.figures():
        if metric_lines(summary, figure):
            made[figure.caption] = folder / f"{figure.stem}.png"
            plot_metric(summary, made[figure.caption], figure)
    if frontier(summary)[2]:
        caption = frontier_caption(summary)
        made[caption] = folder / "frontier.png"
        plot_frontier(summary, made[caption])
    return made


def frontier_caption(summary: pl.DataFrame) -> str:
    """What the figure of temperatures shows, and where good models are."""
    side = {"lower": "down", "higher": "up"}[labels.in_role(summary, "quality").better]
    return f"Quality and diversity over temperature: {side} and to the right is better"


def plot_metric(summary: pl.DataFrame, path: Path, figure: against.Figure) -> None:
    """A metric against token steps or a cost, which is logarithmic, with the value of real data.

    Raises:
        ArtifactError: no row of the metric has ``figure.x``.
    """
    lines = metric_lines(summary, figure)
    if not lines:
        raise ArtifactError(
            f"compare has no row of metric {figure.metric.name} with {figure.x}; sample and evaluate a sweep first"
        )
    with figure_to(path, 8.6, 4.4) as canvas:
        axes = canvas.add_subplot()
        draw_floor(axes, summary, lines, figure)
        for line in lines:
            draw(axes, line, figure.x)
        if logarithmic(lines, figure):
            axes.set_yscale("log")
            plain_log_ticks(axes.yaxis)
        axes.set_ylabel(figure.up)
        note(axes, labels.sampling_note(sampled(summary, figure.metric.name)))
        side_legend(canvas, [axes], [figure.metric.real_label, *(line.label for line in lines)])
        if figure.x == against.TOKEN_STEPS:
            axes.set_xscale("log", base=2)
            axes.xaxis.set_major_locator(FixedLocator(sorted({k for line in lines for k in line.rows["token_steps"]})))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0f}"))
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            axes.set_xscale("log")
            plain_log_ticks(axes.xaxis)
        axes.set_xlabel(figure.across)


def draw(axes: Axes, line: Line, x: str) -> None:
    """Line with markers and a band of one standard error; a single point gets an error bar instead."""
    look: dict[str, Any] = {"color": line.colour, "markeredgecolor": "white", "markeredgewidth": 0.7}
    look |= {"label": line.label}
    across, up, error = (line.rows[name].to_list() for name in (x, "value", "stderr"))
    error = [each or 0.0 for each in error]
    if len(across) == 1:
        axes.errorbar(across, up, yerr=error, linestyle="none", capsize=3, marker="D", markersize=7, zorder=4, **look)
        return
    axes.plot(across, up, linestyle=line.sampler.line, marker=line.marker, zorder=3, **look)
    # Down to a tenth only: a band that reaches zero has no end on a logarithmic axis.
    low = [max(y - e, y / 10) for y, e in zip(up, error, strict=True)]
    high = [y + e for y, e in zip(up, error, strict=True)]
    axes.fill_between(across, low, high, color=line.colour, alpha=0.18, linewidth=0, zorder=2)


def draw_floor(axes: Axes, summary: pl.DataFrame, lines: list[Line], figure: against.Figure) -> None:
    """Value of real data (of a distance, that of two independent sets): dashed line and band.

    Where it is FAR below all ``lines``, it is given in words.
    """
    floors = _shown(summary, figure).filter(family=labels.REAL)
    far = pl.col("value") < min(value for line in lines for value in line.rows["value"]) / FAR
    colour, label = family_colour(labels.REAL), figure.metric.real_label
    for row in floors.filter(~far).iter_rows(named=True):
        error = row["stderr"] or 0.0
        axes.axhline(row["value"], color=colour, linestyle=(0, (6, 3)), linewidth=1.2, label=label, zorder=1)
        axes.axhspan(row["value"] - error, row["value"] + error, color=colour, alpha=0.18, linewidth=0, zorder=0)
    if below := [f"{value:.3g}" for value in floors.filter(far)["value"]]:
        axes.margins(y=0.12)  # room for the words
        words, behind = f"{label}: {', '.join(below)}, far below", {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(0.01, 0.02, words, transform=axes.transAxes, fontsize=8.5, color=colour, bbox=behind)


def plot_frontier(summary: pl.DataFrame, path: Path) -> None:
    """Quality (log) against diversity, a curve per model over temperatures, a panel per step budget.

    The point of temperature 1 has a dark edge.

    Raises:
        ArtifactError: no model has several temperatures at one budget, with both metrics.
    """
    rows, real, budgets = frontier(summary)
    if not budgets:
        raise ArtifactError("compare has no model with quality and diversity at several temperatures; sweep them")
    better, beside = (labels.in_role(summary, role) for role in ("quality", "diversity"))
    drawn = pl.concat([at_budget(rows, budget) for budget in budgets]).unique(maintain_order=True)
    lines = lines_of(drawn)
    with figure_to(path, 4.4 + 3.6 * len(budgets), 4.4) as figure:
        panels = figure.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
        for axes, budget in zip(panels, budgets, strict=True):
            for key, group in at_budget(rows, budget).sort("temperature").group_by(LINE, maintain_order=True):
                _over_temperatures(axes, lines[key], group)
            for x, y in real.select("diversity", "value").iter_rows():
                look = {"color": family_colour(labels.REAL), "markeredgecolor": "white", "label": better.real_label}
                axes.plot([x], [y], marker="*", markersize=14, linestyle="none", zorder=5, **look)
            note(axes, labels.steps_name(budget))
            axes.set_xlabel(beside.axis or beside.short)
        panels[0].set_ylabel(better.axis or better.short)
        panels[0].set_yscale("log")
        plain_log_ticks(panels[0].yaxis)
        figure.suptitle(_frontier_note(drawn), x=0.01, ha="left", fontsize=8.5, color=GREY)
        side_legend(figure, panels, [better.real_label, *(line.label for line in lines.values())])


def _frontier_note(rows: pl.DataFrame) -> str:
    temperatures = ", ".join(f"{temperature:g}" for temperature in sorted(set(rows["temperature"])))
    # Two lines: one would run into the legend beside a single panel.
    return f"{labels.sampling_note(rows)}\nalong a curve temperature {temperatures}; dark edge: 1"


def _over_temperatures(axes: Axes, line: Line, rows: pl.DataFrame) -> None:
    look: dict[str, Any] = {"color": line.colour, "marker": line.marker}
    across, up = rows["diversity"].to_list(), rows["value"].to_list()
    edge = look | {"markeredgecolor": "white", "markeredgewidth": 0.7, "label": line.label, "zorder": 3}
    edge |= {"xerr": rows["diversity_stderr"].fill_null(0.0).to_list(), "yerr": rows["stderr"].fill_null(0.0).to_list()}
    axes.errorbar(across, up, linestyle=line.sampler.line, linewidth=1.5, elinewidth=0.9, **edge)
    plain = rows.filter(temperature=1)
    look |= {"markersize": 6.5, "markeredgecolor": BLACK, "linestyle": "none", "zorder": 4}
    axes.plot(plain["diversity"].to_list(), plain["value"].to_list(), **look)
