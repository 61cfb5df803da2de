"""Figure of the quality-diversity frontier."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from matplotlib.axes import Axes

from ladd.errors import ArtifactError
from ladd.report.frontier import at_budget, frontier_budgets, frontier_rows, real_point
from ladd.report.labels import sampling_note
from ladd.report.series import LINE, Look, looks, sampler_kind
from ladd.report.style import BLACK, GREY, family_colour, figure_to, note, plain_log_ticks, side_legend
from ladd.report.table import summarise

REAL = "Real text"


def plot_frontier(compare: pl.DataFrame, path: Path) -> None:
    """Gen PPL (log) against per-sequence entropy, a curve per model over temperatures, a panel per step budget.

    Down and to the right is better. The point of temperature 1 has a dark edge.

    Raises:
        ArtifactError: no model has several temperatures at one budget, with both metrics.
    """
    summary = summarise(compare)
    rows = frontier_rows(summary)
    budgets = frontier_budgets(rows)
    if not budgets:
        raise ArtifactError(
            "compare has no model with gen_ppl and entropy_sequence at several temperatures; sweep them"
        )
    drawn = pl.concat([at_budget(rows, budget) for budget in budgets]).unique(maintain_order=True)
    styles = looks(drawn)
    with figure_to(path, 4.4 + 3.6 * len(budgets), 4.4) as figure:
        panels = figure.subplots(1, len(budgets), sharey=True, squeeze=False)[0]
        for axes, budget in zip(panels, budgets, strict=True):
            _panel(axes, at_budget(rows, budget), styles)
            _real(axes, real_point(summary))
            note(axes, f"{budget} token step{'s' * (budget > 1)}")
        axes = panels[0]
        axes.set_ylabel("Gen PPL")
        axes.set_yscale("log")
        plain_log_ticks(axes.yaxis)
        figure.suptitle(_note(drawn), x=0.01, ha="left", fontsize=8.5, color=GREY)
        labels = [REAL] * (real_point(summary).height > 0) + [look.label for look in styles.values()]
        side_legend(figure, panels, labels)


def _note(rows: pl.DataFrame) -> str:
    temperatures = ", ".join(f"{temperature:g}" for temperature in sorted(set(rows["temperature"])))
    # Two lines: one would run into the legend beside a single panel.
    return f"{sampling_note(rows)}\nalong a curve temperature {temperatures}; dark edge: 1"


def _panel(axes: Axes, rows: pl.DataFrame, styles: dict[tuple, Look]) -> None:
    for key, group in rows.sort("temperature").group_by(LINE, maintain_order=True):
        look = styles[key]
        across, up = group["entropy"].to_list(), group["value"].to_list()
        axes.errorbar(
            across,
            up,
            xerr=group["entropy_stderr"].fill_null(0.0).to_list(),
            yerr=group["stderr"].fill_null(0.0).to_list(),
            color=look.colour,
            marker=look.marker,
            markeredgecolor="white",
            markeredgewidth=0.7,
            linestyle=sampler_kind(look.schedule).line,
            linewidth=1.5,
            elinewidth=0.9,
            label=look.label,
            zorder=3,
        )
        plain = group.filter(pl.col("temperature") == 1)
        axes.plot(
            plain["entropy"].to_list(),
            plain["value"].to_list(),
            color=look.colour,
            marker=look.marker,
            markersize=6.5,
            markeredgecolor=BLACK,
            linestyle="none",
            zorder=4,
        )
    axes.set_xlabel("per-sequence unigram entropy (nats)")


def _real(axes: Axes, real: pl.DataFrame) -> None:
    for row in real.iter_rows(named=True):
        axes.plot(
            [row["entropy"]],
            [row["value"]],
            marker="*",
            markersize=14,
            color=family_colour("real"),
            markeredgecolor="white",
            linestyle="none",
            label=REAL,
            zorder=5,
        )
