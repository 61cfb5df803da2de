"""What the three training stages share: tracked run, trainer, outputs."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ladd.config import TrainingConfig
from ladd.files import write_atomically
from ladd.randomness import derive
from ladd.stages.recorded import history_path, record_training
from ladd.stages.runtime import Stage
from ladd.stages.tracked import stage_run, tag_outputs
from ladd.training.checkpoint import AVERAGE
from ladd.training.executor import InlineContext
from ladd.training.loop import Task, Trainer


def seed_weights(stage: Stage) -> None:
    """Make the initial weights a function of the suite's seed and the stage's name."""
    torch.manual_seed(derive(stage.suite.seed, stage.declaration.name, "weights"))


def train_stage(
    stage: Stage,
    task: Task,
    config: TrainingConfig,
    folder: str,
    finish: Callable[[Any, Path], None],
) -> None:
    """Train, or go on training, and write the outputs.

    Args:
        stage: the running stage.
        task: model, data and loss.
        config: of the loop.
        folder: output folder.
        finish: writes the final weights, and what else there is, given the averaged model and the folder.
    """
    name = stage.declaration.name
    with stage_run(stage) as run:
        trainer = Trainer(task, config, InlineContext(stage.work, run.log_row), seed=derive(stage.suite.seed, name))
        model = trainer.train()
        with stage.output(folder) as partial:
            finish(model, partial)
            _keep_checkpoints(stage.work, partial / "checkpoints")
        _write_history(history_path(name), trainer.history)
        record_training(stage.declaration, run)
        tag_outputs(stage.declaration, run)


def _keep_checkpoints(work: Path, folder: Path) -> None:
    """Copy the averaged weights of every checkpoint into the output."""
    folder.mkdir()
    for source in sorted(work.glob("step-*")):
        (folder / f"{source.name}.safetensors").write_bytes((source / AVERAGE).read_bytes())


def _write_history(path: Path, history: list[dict[str, float]]) -> None:
    columns = list(dict.fromkeys(key for row in history for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    write_atomically(path, text.getvalue().encode())
