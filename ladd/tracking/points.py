"""Metric points on their way into a run, each of which is filed once."""

from __future__ import annotations

import threading

from mlflow import MlflowClient
from mlflow.entities import Metric

from ladd.tracking.store import milliseconds
from ladd.tracking.writer import Writer

_ENOUGH = 20  # points to send at a time
_MOST = 1000  # that MLflow takes at once


class Points:
    """Points that wait to be sent. They are added in one thread, and may be sent in another.

    Attributes:
        writer: the right to send them.
    """

    def __init__(self) -> None:
        self.writer = Writer()
        self._lock = threading.Lock()
        self._waiting: list[Metric] = []
        self._added: set[tuple[str, int]] = set()  # key and step of all that this process added
        self._there: set[tuple[str, int]] = set()  # of all that the run has
        self._claim_read = 0  # the claim of the writer after which they were read; 0: they must be read

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def due(self) -> bool:
        """Whether it is time to send."""
        return len(self) >= _ENOUGH and not self.writer.lost and not self.writer.settling

    def add(self, key: str, value: float, step: int) -> None:
        """Add a point, unless the curve had one at this step from this process before."""
        if (key, step) not in self._added:
            self._added.add((key, step))
            with self._lock:
                self._waiting.append(Metric(key, value, milliseconds(), step))

    def send(self, client: MlflowClient, run_id: str, *, all_of_them: bool = False) -> None:
        """Send points that the run does not have.

        Args:
            client: of the store.
            run_id: of the run.
            all_of_them: also those that had been left to another process, which may take a moment.
        """
        while self._waiting:
            if all_of_them:
                self.writer.hold(client, run_id)
            elif not self.writer.try_to_hold(client, run_id):
                return
            self._send_some(client, run_id)

    def _send_some(self, client: MlflowClient, run_id: str) -> None:
        claim = self.writer.claims
        if self._claim_read != claim:
            self._there = _steps(client, run_id)
        with self._lock:
            batch = self._waiting[:_MOST]
        self._claim_read = 0  # where the answer to the request is lost, its points may be there
        client.log_batch(run_id, metrics=[point for point in batch if (point.key, point.step) not in self._there])
        self._there |= {(point.key, point.step) for point in batch}
        self._claim_read = claim
        with self._lock:
            del self._waiting[: len(batch)]


def _steps(client: MlflowClient, run_id: str) -> set[tuple[str, int]]:
    """Key and step of all points of a run."""
    keys = client.get_run(run_id).data.metrics
    return {(key, point.step) for key in keys for point in client.get_metric_history(run_id, key)}
