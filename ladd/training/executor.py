"""What the training loop knows of the place it runs in."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection
from pathlib import Path

import torch

from ladd.distributed import rank, sum_over_workers, world_size
from ladd.errors import CheckpointError, TrainingError
from ladd.files import replace_folder
from ladd.training.checkpoint import (
    Checkpoint,
    checkpoint_folder,
    describe,
    load_latest_checkpoint,
    partial_folder,
    prune_checkpoints,
    save_checkpoint,
)
from ladd.training.sharded import all_hashes, has_shards, write_shards

STOP = "stop"  # a file of this name, beside the checkpoints, asks the workers to save and end
POLL = 10  # steps between two looks of a group of workers: they must agree, which takes a message


class InlineContext:
    """The only worker, in this process.

    Args:
        folder: where checkpoints live.
        on_report: called with each row of metrics.
        run_id: of the tracked run, to be found in the checkpoints.
    """

    def __init__(
        self, folder: Path, on_report: Callable[[dict[str, float]], None] = lambda row: None, run_id: str = ""
    ):
        self.folder, self.on_report, self.run_id = folder, on_report, run_id

    def latest(self) -> Checkpoint | None:
        """The checkpoint to go on from, if there is one; the same for all workers."""
        return load_latest_checkpoint(self.folder)

    def save(self, checkpoint: Checkpoint, kept: Collection[int]) -> None:
        """Keep a checkpoint, and the averaged weights of those of the steps ``kept``."""
        checkpoint.run_id = self.run_id
        save_checkpoint(self.folder, checkpoint)
        prune_checkpoints(self.folder, kept)

    def report(self, row: dict[str, float]) -> None:
        """Publish metrics of one step; the row has a "step"."""
        self.on_report(row)

    def stopping(self, step: int) -> bool:
        """Whether to save and end before this step; the same for all workers."""
        return (self.folder / STOP).exists()


class GroupContext(InlineContext):
    """One of several workers that share a folder; the first one writes, all read.

    Args:
        folder: on storage that all workers see.
        device: for messages.
        on_report, run_id: of the first worker; the others report nothing and write nothing.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        on_report: Callable[[dict[str, float]], None] = lambda row: None,
        run_id: str = "",
    ):
        super().__init__(folder, on_report, run_id)
        self.device = device

    def latest(self) -> Checkpoint | None:
        checkpoint = super().latest()
        step = float(checkpoint.step if checkpoint else 0)
        steps = [self._sum(step if worker == rank() else 0.0) for worker in range(world_size())]
        if len(set(steps)) > 1:
            raise TrainingError(
                f"the workers read checkpoints of steps {', '.join(f'{step:.0f}' for step in steps)} in {self.folder}: "
                "the folder of the suite must be on storage that all nodes share"
            )
        return checkpoint

    def save(self, checkpoint: Checkpoint, kept: Collection[int]) -> None:
        if has_shards(checkpoint):
            self.save_shards(checkpoint, kept)
            return
        failed: CheckpointError | None = None
        if rank() == 0:
            try:
                super().save(checkpoint, kept)
            except CheckpointError as error:
                failed = error
        if self._sum(float(failed is not None)):  # also holds the others until the checkpoint is there
            raise failed or CheckpointError("the first worker could not write the checkpoint")

    def save_shards(self, checkpoint: Checkpoint, kept: Collection[int]) -> None:
        """Keep a checkpoint of which each worker has a part."""
        checkpoint.run_id, partial = self.run_id, partial_folder(self.folder, checkpoint.step)
        if rank() == 0:
            shutil.rmtree(partial, ignore_errors=True)
        self._sum(0.0)
        hashes = all_hashes(write_shards(partial, checkpoint))
        if rank() == 0:
            describe(partial, checkpoint, hashes)
            replace_folder(partial, checkpoint_folder(self.folder, checkpoint.step))
            prune_checkpoints(self.folder, kept)
        self._sum(0.0)

    def stopping(self, step: int) -> bool:
        return step % POLL == 0 and self._sum(float(super().stopping(step))) > 0

    def _sum(self, value: float) -> float:
        return float(sum_over_workers(torch.tensor(value, dtype=torch.float64, device=self.device)))
