"""bound@M: likelihood bounds and token losses of a model, once for every inference schedule that it is sampled under.

They do not depend on what is sampled: sweeps that differ in budgets, temperatures or given tokens share them. Those of
one set of sequences do not depend on the other sets: another zero-shot corpus costs its own bounds alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ladd.config import SweepConfig
from ladd.evaluation.bounds import BINS, LossByTime
from ladd.evaluation.estimate import estimate, ratio
from ladd.evaluation.rows import Row, TimeRow, measured
from ladd.files import write_json
from ladd.stages.artifacts import use_device
from ladd.stages.chain import describe_model
from ladd.stages.results import bounds_folder, write_loss_by_time
from ladd.stages.runtime import WORK, Stage, run_stage
from ladd.stages.trained import load_encoding
from ladd.systems.base import System
from ladd.systems.reliance import latent_reliance
from ladd.tasks import Task, task_of
from ladd.tasks.base import Bounds

SEQUENCES = 250  # of losses by time, at most: with ten draws, 2,500 passes for each time of the latents
RELIANCE = 1000  # sequences of latent_reliance, at most
TIME_DRAWS = 10  # of losses by time, per sequence: one in every bin


def main(stage: Stage) -> None:
    suite, device = stage.suite, use_device(stage.suite.compute)
    task = task_of(suite, suite.model(stage.key).data, device)
    model, sweeps = load_encoding(suite, stage.key, device), suite.inferences(stage.key)
    with stage.output(bounds_folder(stage.key)) as folder:
        reliance = reliance_rows(task, stage.key, model) if sweeps else []
        for name, sweep in sweeps.items():
            rows = likelihood_rows(stage, task, model, sweep)
            rows += [replace(row, schedule=sweep.schedule) for row in reliance]
            write_json(folder / f"{name}.json", [vars(row) for row in rows])
    write_loss_by_time(stage.key, loss_by_time_rows(task, model, next(iter(sweeps.values()))) if sweeps else [])


def likelihood_rows(stage: Stage, task: Task, model: Any, sweep: SweepConfig) -> list[Row]:
    """Rows of the model of a sweep under its inference schedule; measure@S says which sweep they are of."""
    suite = task.suite
    row = Row(suite.suite, model="", schedule=sweep.schedule, precision="float32", **describe_model(suite, sweep.model))
    bounds = partial(System.of(suite, sweep.model).bounds, model, settings=task.bound_settings, sweep=sweep)
    return task.likelihood_rows(row, remembered(stage, task, sweep, bounds))


def remembered(stage: Stage, task: Task, sweep: SweepConfig, bounds: Bounds) -> Bounds:
    """Bounds of a model that are read where an earlier run of the stage computed them of the same sequences."""
    folder, declared = WORK / "values" / f"bound-{stage.key}", stage.declaration
    description = {
        "entry": declared.entry | {"evaluation": vars(task.bound_settings), "schedules": sweep.inference},
        "model": {path: digest for path, digest in declared.files.items() if "/data/" not in path},
    }

    def kept(x: Tensor, **options: Any) -> dict[str, Tensor]:
        content = json.dumps([description, options, tuple(x.shape)], sort_keys=True).encode()
        name = hashlib.sha256(content + x.cpu().numpy().tobytes()).hexdigest()
        path = folder / f"{name}.json"
        if not path.exists():
            write_json(path, {term: values.tolist() for term, values in bounds(x, **options).items()})
        return {term: torch.tensor(each, dtype=torch.float64) for term, each in json.loads(path.read_text()).items()}

    return kept


def reliance_rows(task: Task, key: str, model: Any) -> list[Row]:
    """What the latents of a model are worth to its tokens, whatever the schedule; none without latents."""
    suite, held_out = task.suite, task.held_out("validation", min(RELIANCE, task.evaluation.sequences))
    row = Row(suite.suite, model="", precision="float32", tokenizer=task.tokenizer_name, **describe_model(suite, key))
    row = replace(row, documents=held_out.document_count)
    losses = latent_reliance(System.of(suite, key), model, held_out.tokens, task.bound_settings, held_out.documents)
    return [measured(row, name, estimate(values, held_out.documents)) for name, values in losses]


def loss_by_time_rows(task: Task, model: Any, sweep: SweepConfig) -> list[TimeRow]:
    """Token losses in every bin of t_x, for every time of the latents; none of a system without a time."""
    suite = task.suite
    found = task.held_out("validation", min(SEQUENCES, task.evaluation.sequences))
    row = TimeRow(model=sweep.model, family=suite.model(sweep.model).family, n=len(found.tokens))
    row = replace(row, documents=found.document_count)
    rows: list[TimeRow] = []
    settings = replace(task.bound_settings, time_draws=TIME_DRAWS)
    for name, losses in System.of(suite, sweep.model).losses_by_time(model, found.tokens, settings, sweep):
        rows += _of_bins(replace(row, latents=name), losses, found.documents)
    return rows


def _of_bins(row: TimeRow, losses: LossByTime, documents: Tensor | None) -> Iterator[TimeRow]:
    for place in range(BINS):
        weighted, plain, masked = (part[:, place] for part in losses)
        mean = estimate(weighted, documents)
        per_masked = ratio(plain, masked, documents) if masked.sum() > 0 else None
        yield replace(
            row,
            t_low=place / BINS,
            t_high=(place + 1) / BINS,
            weighted=mean.value,
            weighted_stderr=mean.stderr,
            per_masked=None if per_masked is None else per_masked.value,
            per_masked_stderr=None if per_masked is None else per_masked.stderr,
        )


if __name__ == "__main__":
    run_stage("bound", main)
