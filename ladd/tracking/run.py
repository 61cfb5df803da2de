"""The run of one stage."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from mlflow.entities import Metric, Param, Run

from ladd.git import git_tags
from ladd.tracking.checkpoints import register_checkpoints
from ladd.tracking.experiment import PARENT_ID, Experiment, set_tags
from ladd.tracking.store import milliseconds, store_lock

_FLUSH_POINTS = 20


class TrackedRun:
    """The MLflow run of one stage.

    Args:
        root: of the repository.
        suite: whose experiment has the run.
        name: of the run, for people.
        fingerprint: of the stage; finds the run again.
        parameters: flat; logged once.
        tags: for filtering: suite, family, L, K, schedule, ...
    """

    def __init__(
        self,
        root: Path,
        *,
        suite: str,
        name: str,
        fingerprint: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, Any],
    ):
        experiment = Experiment(root, suite)
        self.client, self.experiment_id = experiment.client, experiment.id
        launched = {PARENT_ID: experiment.parent_id} | flow_tags()
        tags = {key: str(value) for key, value in tags.items() if value is not None}
        tags |= git_tags(root) | {"ladd.fingerprint": fingerprint} | launched
        with store_lock(root):  # two work trees that run the same stage share its run
            run = experiment.find(fingerprint) or self.client.create_run(experiment.id, run_name=name, tags=tags)
        self.run_id: str = run.info.run_id
        self._begin(run, parameters, launched)
        self.logged = {key: self._last_step(key) for key in run.data.metrics}
        self.pending: list[Metric] = []

    def _begin(self, run: Run, parameters: Mapping[str, Any], launched: Mapping[str, str]) -> None:
        """A run that is there goes on; a killed process may have left it without parameters."""
        flat = [Param(key, str(value)) for key, value in parameters.items() if key not in run.data.params]
        self.client.log_batch(self.run_id, params=flat)
        self.client.update_run(self.run_id, status="RUNNING")
        set_tags(self.client, self.run_id, launched)

    def _last_step(self, key: str) -> int:
        return max(point.step for point in self.client.get_metric_history(self.run_id, key))

    def __enter__(self) -> TrackedRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.flush()
        self.client.set_terminated(self.run_id, status="FINISHED" if kind is None else "FAILED")

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each metric's curve, unless the curve already reaches this step."""
        now = milliseconds()
        for key, value in values.items():
            if step > self.logged.get(key, -1):
                self.pending.append(Metric(key, value, now, step))
                self.logged[key] = step
        if len(self.pending) >= _FLUSH_POINTS:
            self.flush()

    def log_row(self, row: Mapping[str, float]) -> None:
        """Log a row of the training history, whose "step" is its step."""
        self.log({key: value for key, value in row.items() if key != "step"}, int(row["step"]))

    def flush(self) -> None:
        """Send what is buffered."""
        if self.pending:
            self.client.log_batch(self.run_id, metrics=self.pending)
            self.pending = []

    def tag(self, tags: Mapping[str, Any]) -> None:
        """Set tags."""
        set_tags(self.client, self.run_id, tags)

    def attach(self, path: Path) -> None:
        """Keep a file with the run, unless the run has one of that name."""
        if path.name not in {kept.path for kept in self.client.list_artifacts(self.run_id)}:
            self.client.log_artifact(self.run_id, str(path))

    def log_checkpoints(self, checkpoints: Iterable[Mapping[str, Any]]) -> None:
        """Register checkpoints as models of this run, by reference: their bytes stay in the DVC output.

        Args:
            checkpoints: each with "name", "path", "sha256", "step" and "metrics".
        """
        register_checkpoints(self.client, self.experiment_id, self.run_id, checkpoints)


def flow_tags() -> dict[str, str]:
    """The Prefect flow run that launched this process, if one did."""
    flow = os.environ.get("LADD_FLOW_RUN_ID") or os.environ.get("PREFECT__FLOW_RUN_ID")
    return {"prefect.flow_run_id": flow} if flow else {}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
