"""evaluate@S: likelihood bounds of the sweep's model, and metrics of its samples."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ladd.config import Suite, SweepConfig, SweepPoint
from ladd.evaluation.cost import Passes
from ladd.evaluation.rows import Row
from ladd.files import write_json
from ladd.progress import counted
from ladd.stages.artifacts import load_array, use_device
from ladd.stages.chain import describe_model
from ladd.stages.likelihood import likelihood_rows
from ladd.stages.loss_by_time import loss_by_time_rows
from ladd.stages.measure import SampleMeasures, SawtoothMeasures, base_row
from ladd.stages.measure_text import TextMeasures
from ladd.stages.real import given_positions
from ladd.stages.results import log_results, write_loss_by_time, write_results
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.samples import shown_samples
from ladd.stages.seconds import log_seconds
from ladd.stages.tracked import stage_run, tag_outputs
from ladd.stages.unmasked import check_unmasked
from ladd.systems.base import System


def main(stage: Stage) -> None:
    suite, sweep = stage.suite, stage.suite.sweeps[stage.key]
    device, described = use_device(suite.compute), describe_model(suite, sweep.model)
    row = base_row(suite, model=stage.key, schedule=sweep.schedule, **described)
    # Given tokens change what is sampled, not what is likely.
    rows = likelihood_rows(suite, stage.key, row, device) if sweep.given is None else []
    measures = (SawtoothMeasures if suite.evaluation.kind == "sawtooth" else TextMeasures)(suite, sweep.data, device)
    sampled, shown = sampled_rows(suite, stage.key, row, measures, device)
    rows += sampled
    write_loss_by_time(stage.key, loss_by_time_rows(suite, stage.key, device))
    table = write_results(stage.key, rows)
    write_json(Path(f"results/samples/{stage.key}.json"), shown)
    with stage_run(stage) as run:
        log_results(table, run)
        log_seconds(table, stage.key, sweep, run)
        tag_outputs(stage.declaration, run)


def sampled_rows(
    suite: Suite, key: str, row: Row, measures: SampleMeasures, device: torch.device
) -> tuple[list[Row], list[dict[str, Any]]]:
    """Rows of every point and seed of a sweep, and the first samples of every point."""
    sweep, folder = suite.sweeps[key], Path(f"artifacts/samples/{key}")
    passes = json.loads((folder / "passes.json").read_text())
    rows, shown = [], []
    for point in counted(sweep.points, "metrics", "point"):
        for index, seed in enumerate(sweep.seeds):
            name = f"{point.name}-seed-{seed}"
            x = torch.from_numpy(load_array(folder / f"{name}.npy").astype("int64")).to(device)
            check_unmasked(x, suite.data[sweep.data].vocabulary, f"evaluate@{key}, {name}")
            budget = budget_row(suite, sweep, point, row, passes[name], seed)
            rows += measures.rows(budget, x, index)
            if index == 0:
                shown.append(shown_samples(point, x, given_of(suite, sweep, x), measures))
    return rows, shown


def given_of(suite: Suite, sweep: SweepConfig, x: Tensor) -> Tensor | None:
    """Which tokens of the samples of the first seed were given, bool (n, N); None where none was."""
    if sweep.given is None:
        return None
    return given_positions(suite, sweep.given, sweep.seeds[0], len(x), x.shape[1], x.device)


def budget_row(
    suite: Suite,
    sweep: SweepConfig,
    point: SweepPoint,
    row: Row,
    passes: dict[str, float],
    seed: int,
) -> Row:
    """A row with the budget of one point, and what a sample cost."""
    system = System.of(suite, sweep.model)
    cost, nominal = map(system.cost, (Passes(**passes), system.nominal_passes(point.token_steps, sweep.latent_steps)))
    return replace(
        row,
        token_steps=point.token_steps,
        latent_steps=sweep.latent_steps,
        temperature=point.temperature,
        given="" if sweep.given is None else sweep.given.name,
        nfe=round(cost.nfe, 4),
        gmacs_per_sample=cost.gmacs,
        nominal_gmacs_per_sample=nominal.gmacs,
        gflops_per_sample=cost.gflops,
        precision=sweep.precision,
        seed=seed,
    )


if __name__ == "__main__":
    run_stage("evaluate", main)
