"""What the three training stages share: tracked run, trainer, outputs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from ladd.cluster import training_workers
from ladd.config import TrainingConfig
from ladd.diffusion.noise import derive
from ladd.distributed import rank
from ladd.errors import TrainingError
from ladd.files import save_tensors, write_atomically
from ladd.stages.handover import forget_training, train_together
from ladd.stages.recorded import history_path, record_training
from ladd.stages.runtime import Stage
from ladd.stages.signals import EndRequests
from ladd.stages.tracked import stage_run, tag_outputs
from ladd.training.batches import TokenTask
from ladd.training.checkpoint import AVERAGE, AVERAGE_SHARDS, checkpoint_step
from ladd.training.executor import STOP, GroupContext, InlineContext
from ladd.training.loop import Trainer
from ladd.training.pace import publish_pace
from ladd.training.sharded import read_average


def seed_weights(stage: Stage) -> None:
    """Make the initial weights a function of the stage's seed."""
    torch.manual_seed(derive(stage.seed, "weights"))


@dataclass(frozen=True)
class Training:
    """What a stage trains.

    Attributes:
        task: model, data and loss.
        finish: writes the final weights, and what else there is, given the averaged model and the output folder.
    """

    task: TokenTask
    config: TrainingConfig
    folder: str
    finish: Callable[[Any, Path], None]


def train_stage(stage: Stage, build: Callable[[Stage], Training]) -> None:
    """Train, or go on training, and write the outputs.

    With Ray, workers train up to the last checkpoint, and this process goes on from there.

    Args:
        build: makes its training; a function of the stage's module called ``training``, where workers find it.
    Raises:
        PreemptedError: a signal asked to end; a checkpoint is saved.
    """
    with EndRequests(stage.work / STOP) as requests:
        training = build(stage)
        on_workers = training.config.executor.kind == "ray"
        if on_workers:
            with stage_run(stage) as run:
                train_together(stage, _train_worker, training_workers(training.config, stage.suite.compute), run)
        with stage_run(stage) as run:
            trainer = _trainer(stage, training, InlineContext(stage.work, run.log_row, run.run_id))
            model = trainer.train()
            requests.end_where_it_is()
            with stage.output(training.folder) as partial:
                training.finish(model, partial)
                _keep_checkpoints(stage.work, trainer.kept_steps(), partial / "checkpoints")
            _write_history(history_path(stage.declaration.name), trainer.history)
            record_training(stage.declaration, run)
            tag_outputs(stage.declaration, run)
        if on_workers:
            forget_training(stage)


def _train_worker(stage: Stage) -> None:
    """On a worker that Ray started: train to the last checkpoint; the first worker tracks the run."""
    training = import_module(f"ladd.stages.{stage.declaration.name.partition('@')[0]}").training(stage)
    device = next(training.task.model.parameters()).device
    if rank() > 0:
        _trainer(stage, training, GroupContext(stage.work, device)).train()
        return
    run = stage_run(stage)
    try:
        trainer = _trainer(stage, training, GroupContext(stage.work, device, run.log_row, run.run_id))
        publish_pace(trainer)
        trainer.train()
    finally:
        run.flush()


def _trainer(stage: Stage, training: Training, context: InlineContext) -> Trainer:
    return Trainer(training.task, training.config, context, seed=stage.seed)


def _keep_checkpoints(work: Path, kept: Collection[int], folder: Path) -> None:
    """Copy averaged weights into the output.

    Raises:
        TrainingError: those of a step are missing; without them the output would be another one.
    """
    there = {checkpoint_step(path): path for path in work.glob("step-*") if _has_average(path)}
    if missing := sorted(set(kept) - there.keys()):
        raise TrainingError(
            f"{work} lacks the averaged weights of steps {', '.join(map(str, missing))}, which the output keeps: "
            "remove that folder, and the stage trains anew"
        )
    folder.mkdir()
    for step in sorted(kept):
        target = folder / f"{there[step].name}.safetensors"
        if (there[step] / AVERAGE).is_file():
            target.write_bytes((there[step] / AVERAGE).read_bytes())
        else:
            save_tensors(target, read_average(there[step]))


def _has_average(path: Path) -> bool:
    return (path / AVERAGE).is_file() or (path / AVERAGE_SHARDS).is_dir()


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    columns = list(dict.fromkeys(key for row in history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomically(path, text.getvalue().encode())
