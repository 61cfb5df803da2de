"""What the training loop knows of the place it runs in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ladd.training.checkpoint import (
    Checkpoint,
    load_latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)


class ExecutorContext(Protocol):
    """One worker of a training run."""

    rank: int
    world_size: int

    def latest(self) -> Checkpoint | None:
        """The checkpoint to go on from, if there is one."""
        ...

    def save(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint."""
        ...

    def report(self, row: dict[str, float]) -> None:
        """Publish metrics of one step; the row has a "step"."""
        ...


class InlineContext:
    """The only worker, in this process.

    Args:
        folder: where checkpoints live.
        on_report: called with each row of metrics.
    """

    rank = 0
    world_size = 1

    def __init__(self, folder: Path, on_report: Callable[[dict[str, float]], None] = lambda row: None):
        self.folder, self.on_report = folder, on_report

    def latest(self) -> Checkpoint | None:
        return load_latest_checkpoint(self.folder)

    def save(self, checkpoint: Checkpoint) -> None:
        save_checkpoint(self.folder, checkpoint)
        prune_checkpoints(self.folder)

    def report(self, row: dict[str, float]) -> None:
        self.on_report(row)
