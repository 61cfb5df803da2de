"""One of two processes that share the folder of a suite and train a stage, without Ray, in the working directory:
python -m tests.stages.pair STAGE KEY RANK. Their checkpoints are in .work/pair."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import torch

from ladd.config import load_suite
from ladd.stages.declaration import read_declaration
from ladd.stages.runtime import Stage
from ladd.training.executor import GroupContext
from ladd.training.loop import Trainer

FOLDER = Path(".work/pair")


def main(name: str, key: str, rank: int) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{FOLDER.absolute()}/rendezvous", rank=rank, world_size=2
    )
    stage = Stage(load_suite(), key, read_declaration(name, key))
    training = import_module(f"ladd.stages.{name}").training(stage)
    context = GroupContext(FOLDER, next(training.task.model.parameters()).device)
    Trainer(training.task, training.config, context, seed=stage.seed).train()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
