"""bound@M: likelihood bounds and token losses of a model, once for every inference schedule that it is sampled under.

They do not depend on what is sampled: sweeps that differ in budgets, temperatures or given tokens share them.
"""

from __future__ import annotations

from functools import partial

import torch

from ladd.config import Suite, SweepConfig
from ladd.config.evaluation import shortest
from ladd.evaluation.rows import Row
from ladd.files import write_json
from ladd.models import Ladd
from ladd.stages.artifacts import use_device
from ladd.stages.chain import describe_model
from ladd.stages.encoders import pretrained_encoder
from ladd.stages.likelihood import bounds_of
from ladd.stages.loss_by_time import loss_by_time_rows
from ladd.stages.results import bounds_folder, write_loss_by_time
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.trained import load_trained
from ladd.tasks import task_of


def main(stage: Stage) -> None:
    suite, device = stage.suite, use_device(stage.suite.compute)
    sweeps = inferences(suite, stage.key)
    with stage.output(bounds_folder(stage.key)) as folder:
        for name, key in sweeps.items():
            write_json(folder / f"{name}.json", [vars(row) for row in likelihood_rows(suite, key, device)])
    timed = loss_by_time_rows(suite, next(iter(sweeps.values())), device) if sweeps else []
    write_loss_by_time(stage.key, timed)


def inference_name(sweep: SweepConfig) -> str:
    """Of the part of a sweep's settings that bounds depend on."""
    return sweep.schedule + ("" if sweep.latent_lead == 1 else f"-lead-{shortest(sweep.latent_lead)}")


def inferences(suite: Suite, model: str) -> dict[str, str]:
    """The inference schedules that a model is sampled under, each with the first sweep that has it."""
    found: dict[str, str] = {}
    for key, sweep in suite.sweeps.items():
        # Given tokens change what is sampled, not what is likely.
        if sweep.model == model and sweep.given is None:
            found.setdefault(inference_name(sweep), key)
    return found


def likelihood_rows(suite: Suite, key: str, device: torch.device) -> list[Row]:
    """Rows of the model of a sweep under its inference schedule; measure@S says which sweep and code they are of."""
    sweep = suite.sweeps[key]
    model, task = load_trained(suite, sweep.model, device), task_of(suite, sweep.data, device)
    if isinstance(model, Ladd):
        model.pretrained_encoder = pretrained_encoder(suite, sweep.model, device)
    row = Row(suite.suite, model="", schedule=sweep.schedule, precision="float32", **describe_model(suite, sweep.model))
    return task.likelihood_rows(row, partial(bounds_of, suite, sweep, model, settings=task.bound_settings))


if __name__ == "__main__":
    run_stage("bound", main)
