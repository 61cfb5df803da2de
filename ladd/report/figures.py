"""Which figures of sample quality a table has rows for."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from ladd.report.frontier import frontier_budgets, frontier_rows
from ladd.report.frontier_plot import plot_frontier
from ladd.report.labels import COSTS
from ladd.report.plots import GEN_PPL, SWD, plot_quality
from ladd.report.series import quality_series
from ladd.report.table import summarise

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
