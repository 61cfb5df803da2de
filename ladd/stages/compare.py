"""compare: one tidy table of all results, plots, and a page that holds everything."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from ladd.config import Suite
from ladd.evaluation import EVALUATOR_VERSION
from ladd.files import write_atomically, write_json
from ladd.report.page import write_page
from ladd.report.plots import plot_codebook, plot_curves, plot_quality_compute, plot_swd
from ladd.report.table import render, summarise
from ladd.stages.results import nested_means, read_results
from ladd.stages.runtime import Stage, run_stage


def main(stage: Stage) -> None:
    suite = stage.suite
    results = Path("results")
    keys = [*(f"reference-{key}" for key in suite.data), *suite.sweeps]
    compare = pl.concat([read_results(results / "evaluate" / f"{key}.csv") for key in keys])
    write_atomically(results / "compare.csv", compare.write_csv().encode())
    summarise(compare)  # refuses rows that must not be averaged
    write_json(results / "compare.json", nested_means(compare))
    write_atomically(results / "compare.txt", render(compare).encode())
    write_page(
        results / "report.html",
        title=f"ladd: {suite.suite}",
        compare=compare,
        figures=_figures(suite, compare, results),
        parameters=Path("params.yaml").read_text(),
        provenance={"suite": suite.suite, "evaluator version": EVALUATOR_VERSION, "seed": str(suite.seed)},
    )


def _figures(suite: Suite, compare: pl.DataFrame, results: Path) -> dict[str, Path]:
    plots = results / "plots"
    names = [
        *(f"stage1-{key}" for key in suite.latents),
        *(f"baseline-{key}" for key in suite.baselines),
        *(f"stage2-{key}" for key in suite.models),
    ]
    histories = {name: pl.read_csv(results / "history" / f"{name}.csv", infer_schema_length=None) for name in names}
    usage = {
        key: json.loads((results / "stage1" / f"{key}.json").read_text())["probabilities"]
        for key, latents in suite.latents.items()
        if latents.kind == "discrete"
    }
    plot_swd(compare, plots / "swd.png")
    plot_quality_compute(compare, plots / "swd-compute.png")
    plot_curves(histories, plots / "curves.png")
    figures = {
        "Sliced Wasserstein distance against token steps": plots / "swd.png",
        "Sliced Wasserstein distance against compute": plots / "swd-compute.png",
        "Training curves": plots / "curves.png",
    }
    if usage:
        plot_codebook(usage, plots / "codebook.png")
        figures["Use of the codes"] = plots / "codebook.png"
    return figures


if __name__ == "__main__":
    run_stage("compare", main, keyed=False)
