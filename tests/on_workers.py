"""What tests/test_cluster.py calls on Ray's workers: they import it by name."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ladd.distributed import rank, world_size
from ladd.errors import TrainingError


def note(folder: Path) -> None:
    """Say who and where the worker is."""
    (folder / f"rank-{rank()}").write_text(f"{world_size()} {os.getcwd()}")


def fail_once(folder: Path) -> None:
    """The second worker raises in the first attempt, while the first waits for it."""
    import torch

    if rank() == 1 and not (folder / "failed").exists():
        (folder / "failed").touch()
        raise RuntimeError("a fault of the moment")
    torch.distributed.barrier()
    note(folder)


def fail_always(folder: Path) -> None:
    with (folder / f"tries-{rank()}").open("a") as file:
        file.write("x")
    raise RuntimeError("a fault that stays")


def stop_for_good(folder: Path) -> None:
    with (folder / f"tries-{rank()}").open("a") as file:
        file.write("x")
    raise TrainingError("train/loss is nan in step 3")


def write_shards(folder: Path, worker: int, workers: int) -> None:
    for number in range(worker, 5, workers):
        (folder / str(number)).write_text(f"{worker} of {workers}")


def die_once(folder: Path, worker: int, workers: int) -> None:
    if worker == 1 and not (folder / "died").exists():
        (folder / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    write_shards(folder, worker, workers)


def refuse(folder: Path, worker: int, workers: int) -> None:
    raise TrainingError("this is no shard")
