"""measure@S: metrics of the samples of a sweep, each computed once, beside the bounds of its model."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ladd.config import Suite, SweepConfig, SweepPoint
from ladd.config.replicates import replicate_of, without_replicate
from ladd.evaluation.rows import Row
from ladd.files import write_json
from ladd.metrics.base import Samples, Values
from ladd.progress import counted
from ladd.samplers.base import check_unmasked
from ladd.stages.artifacts import load_array, use_device
from ladd.stages.chain import describe_model
from ladd.stages.results import bounds_folder, log_results, write_results
from ladd.stages.runtime import WORK, Stage, run_stage
from ladd.stages.seconds import log_seconds
from ladd.stages.tracked import stage_run, tag_outputs
from ladd.systems.base import Passes, System
from ladd.tasks import Task, task_of
from ladd.tasks.base import SHOWN


def main(stage: Stage) -> None:
    suite, sweep = stage.suite, stage.suite.sweeps[stage.key]
    task = task_of(suite, sweep.data, use_device(suite.compute))
    described = describe_model(suite, sweep.model)
    row = Row(suite.suite, model=without_replicate(stage.key), schedule=sweep.schedule, **described)
    row = replace(row, replicate=replicate_of(stage.key))
    values = Values(WORK / "values" / stage.key, suite.compute.model_dump())
    sampled, shown = sampled_rows(suite, stage.key, row, task, values)
    with stage.output(values_folder(stage.key)) as folder:
        values.save(folder)
    table = write_results(stage.key, bound_rows(sweep, row) + sampled)
    write_json(Path(f"results/samples/{stage.key}.json"), shown)
    with stage_run(stage) as run:
        log_results(table, run)
        log_seconds(table, stage.key, sweep, run)
        tag_outputs(stage.declaration, run)


def values_folder(key: str) -> Path:
    """Where the values of the metrics are kept."""
    return Path(f"artifacts/measured/{key}")


def bound_rows(sweep: SweepConfig, row: Row) -> list[Row]:
    """The bounds of a sweep's model under its inference schedule; none where tokens are given."""
    if sweep.given is not None:
        return []
    found = json.loads((bounds_folder(sweep.model) / f"{sweep.inference}.json").read_text())
    return [Row(**values | {"model": row.model, "replicate": row.replicate}) for values in found]


def sampled_rows(
    suite: Suite, key: str, row: Row, task: Task, values: Values
) -> tuple[list[Row], list[dict[str, Any]]]:
    """Rows of every point and seed of a sweep, and the first samples of every point."""
    sweep, folder, metrics = suite.sweeps[key], Path(f"artifacts/samples/{key}"), task.metrics()
    passes = json.loads((folder / "passes.json").read_text())
    rows, shown = [], []
    for point in counted(sweep.points, "metrics", "point"):
        for index, seed in suite.numbered_seeds(key):
            name = f"{point.name}-seed-{seed}"
            x = torch.from_numpy(load_array(folder / f"{name}.npy").astype("int64")).to(task.device)
            check_unmasked(x, suite.data[sweep.data].vocabulary, f"measure@{key}, {name}")
            budget = budget_row(suite, sweep, point, row, passes[name], seed)
            rows += values.rows(metrics, Samples(task, x, index), budget)
            if seed == sweep.seeds[0]:
                given = None if sweep.given is None else task.given_positions(sweep.given, seed, len(x))
                shown.append(shown_samples(point, x, given, task))
    return rows, shown


def budget_row(
    suite: Suite,
    sweep: SweepConfig,
    point: SweepPoint,
    row: Row,
    passes: dict[str, float],
    seed: int,
) -> Row:
    """A row with the budget of one point, and what a sample cost."""
    system = System.of(suite, sweep.model, sweep.prior)
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


def shown_samples(point: SweepPoint, x: Tensor, given: Tensor | None, task: Task) -> dict[str, Any]:
    """The first samples of x int64 (n, N), never chosen ones, each as runs [text, given] from left to right.

    Runs are decoded one by one, so a character that is cut by the border of a run shows as a replacement mark.
    """
    items = []
    for row in range(min(SHOWN, len(x))):
        flags = [False] * x.shape[1] if given is None else given[row].tolist()
        places = [list(group) for _, group in groupby(range(x.shape[1]), key=flags.__getitem__)]
        items.append([[task.decode(x[row, run].tolist()), flags[run[0]]] for run in places])
    return {"token_steps": point.token_steps, "temperature": point.temperature, "items": items}


if __name__ == "__main__":
    run_stage("measure", main)
