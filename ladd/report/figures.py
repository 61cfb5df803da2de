"""Which figures of sample quality a table has rows for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from ladd.report.frontier import frontier_budgets, frontier_rows
from ladd.report.labels import COSTS
from ladd.report.plots import plot_frontier, plot_gen_ppl, plot_quality_compute, plot_swd
from ladd.report.series import quality_series
from ladd.report.table import summarise

Plot = Callable[[pl.DataFrame, Path], None]


def quality_figures(compare: pl.DataFrame, folder: Path) -> dict[str, Path]:
    """Draw every figure of sample quality that the table has rows for.

    Args:
        compare: tidy table that ``summarise`` takes.
        folder: for the PNG files.

    Returns:
        Files by caption, in the order of the page; none for a table without samples.
    """
    summary = summarise(compare)
    plots: dict[str, tuple[str, Plot]] = {}
    if quality_series(summary, "token_steps"):
        plots["Sliced Wasserstein distance against token steps"] = ("swd", plot_swd)
    if quality_series(summary, "gmacs_per_sample"):
        plots["Sliced Wasserstein distance against compute"] = ("swd-compute", plot_quality_compute)
    for x, (against, stem) in GEN_PPL.items():
        if quality_series(summary, x, "gen_ppl"):
            plots[f"Gen PPL against {against}; down is better, at equal entropy"] = (stem, _against(x))
    if frontier_budgets(frontier_rows(summary)):
        caption = "Quality and diversity over temperature: down and to the right is better"
        plots[caption] = ("frontier", plot_frontier)
    made = {}
    for caption, (stem, plot) in plots.items():
        made[caption] = folder / f"{stem}.png"
        plot(compare, made[caption])
    return made


# Words of the caption and stem of the file, by column.
GEN_PPL = {
    "token_steps": ("token steps", "gen-ppl"),
    "nominal_gmacs_per_sample": (f"{COSTS['nominal_gmacs_per_sample'].unit}, as the paper counts", "gen-ppl-backbone"),
    "gmacs_per_sample": (f"{COSTS['gmacs_per_sample'].unit}, passes that were needed", "gen-ppl-made"),
    "gflops_per_sample": (f"{COSTS['gflops_per_sample'].unit}, head and latent passes included", "gen-ppl-compute"),
    "seconds_per_sample": ("wall-clock time", "gen-ppl-seconds"),
}


def _against(x: str) -> Plot:
    return lambda compare, path: plot_gen_ppl(compare, path, x)
