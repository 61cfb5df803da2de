"""How fast workers train: for the curves of a tracked run, and in no result."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from ladd.training.loop import Trainer


class Pace:
    """Speed, memory and waiting of this process since the last row.

    Args:
        tokens: of a step, of all workers.
        device: whose memory counts.
    """

    def __init__(self, tokens: int, device: torch.device):
        self.tokens, self.device = tokens, device
        self._last: tuple[int, float, float] | None = None  # step, time and seconds of waiting of the last row

    def row(self, step: int, waited: float) -> dict[str, float]:
        """Metrics of the steps since the last call; none at the first, which has no steps before it.

        Validation and checkpoints are part of the time: it is what a training takes. Memory is in MiB: of a CPU the
        most that the process ever had, of a GPU the most that its tensors took since the last call.

        Args:
            step: that the row is of.
            waited: seconds that the process has waited for data, from its start.
        """
        before, self._last = self._last, (step, time.perf_counter(), waited)
        if before is None or step == before[0]:
            return {}
        seconds = self._last[1] - before[1]
        return {
            "speed/tokens_per_second": (step - before[0]) * self.tokens / seconds,
            "speed/share_waiting_for_data": (waited - before[2]) / seconds,
            "speed/peak_memory": self._memory(),
        }

    def _memory(self) -> float:
        if self.device.type != "cuda":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        most = torch.cuda.max_memory_allocated(self.device) / 2**20
        torch.cuda.reset_peak_memory_stats(self.device)
        return most


def publish_pace(trainer: Trainer) -> None:
    """Add the speed to the rows that a training publishes from here on; its history does not get it."""
    pace = Pace(trainer.config.batch * trainer.task.tokens_per_sequence, trainer.device)
    publish = trainer.context.on_report

    def report(row: dict[str, float]) -> None:
        old = row["step"] != trainer.step  # of a history that a resumed training publishes again
        publish(row if old else row | pace.row(trainer.step, trainer.batches.waited))

    trainer.context.on_report = report
