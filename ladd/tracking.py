"""MLflow: one run per trained model and one per evaluation. The only module that imports mlflow.

A run is found by the fingerprint of its stage, so a resumed or repeated stage goes on in the run that it has, and
no metric point is logged twice. Everything is absolute: workers and work trees have other working directories.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

# A tracking client that calls home would be the first surprise of a user; mlflow reads these on import.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from ladd.errors import ArtifactError, ConfigError
from ladd.git import git_tags

logger = logging.getLogger(__name__)
logging.getLogger("alembic").setLevel(logging.WARNING)
logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)

STORE = Path(".mlflow")  # in the root of the repository, shared by all suites
_FLUSH_POINTS = 20


class TrackedRun:
    """The MLflow run of one stage.

    Args:
        root: of the repository.
        experiment: name of the experiment, the suite's.
        name: of the run, for people.
        fingerprint: of the stage; finds the run again.
        parameters: flat; logged once.
        tags: for filtering: suite, family, L, K, schedule, ...
    """

    def __init__(
        self,
        root: Path,
        *,
        experiment: str,
        name: str,
        fingerprint: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, Any],
    ):
        self.client, experiment_id = _connect(root, experiment)
        tags = {key: str(value) for key, value in tags.items() if value is not None}
        tags |= git_tags(root) | {"ladd.fingerprint": fingerprint}
        run = _find(self.client, experiment_id, fingerprint)
        if run is None:
            run = self.client.create_run(experiment_id, run_name=name, tags=tags)
            flat = [Param(key, str(value)) for key, value in parameters.items()]
            self.client.log_batch(run.info.run_id, params=flat)
        else:
            self.client.update_run(run.info.run_id, status="RUNNING")
        self.run_id: str = run.info.run_id
        self.experiment_id = experiment_id
        self.logged = {key: self._last_step(key) for key in run.data.metrics}
        self.pending: list[Metric] = []

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
        now = _milliseconds()
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
        self.client.log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def log_checkpoints(self, checkpoints: Iterable[Mapping[str, Any]]) -> None:
        """Register checkpoints as models of this run, by reference: their bytes stay in the DVC output.

        Args:
            checkpoints: each with "name", "path", "sha256", "step" and "metrics".
        """
        known = self.client.search_logged_models(
            [self.experiment_id], filter_string=f"source_run_id = '{self.run_id}'", max_results=1000
        )
        names = {model.name for model in known}
        for checkpoint in checkpoints:
            if checkpoint["name"] in names:
                continue
            tags = {key: str(checkpoint[key]) for key in ("path", "sha256", "step")}
            with _global_uri(self.client.tracking_uri):
                model = mlflow.create_external_model(
                    name=checkpoint["name"], source_run_id=self.run_id, tags=tags, experiment_id=self.experiment_id
                )
            metrics = [
                Metric(f"checkpoint/{key}", value, _milliseconds(), checkpoint["step"], model_id=model.model_id)
                for key, value in checkpoint["metrics"].items()
            ]
            self.client.log_batch(self.run_id, metrics=metrics)


@contextlib.contextmanager
def _global_uri(uri: str) -> Iterator[None]:
    """Set MLflow's global URI, which it writes into the environment, and take it out of there again."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file under the repository's root."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{(root / STORE / 'mlflow.db').resolve()}"


def _connect(root: Path, name: str) -> tuple[MlflowClient, str]:
    """Client and id of the experiment, under a lock: opening a new database creates it, and two creators break it."""
    uri, folder = tracking_uri(root), (root / STORE).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "create.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        client = MlflowClient(tracking_uri=uri)
        if (found := client.get_experiment_by_name(name)) is not None:
            return client, found.experiment_id
        location = (folder / "artifacts" / name).as_uri() if uri.startswith("sqlite:") else None
        return client, client.create_experiment(name, artifact_location=location)


def _find(client: MlflowClient, experiment_id: str, fingerprint: str) -> Run | None:
    runs = client.search_runs([experiment_id], f"tags.`ladd.fingerprint` = '{fingerprint}'", max_results=1)
    return runs[0] if runs else None


def _milliseconds() -> int:
    return int(1000 * time.time())


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


class LoggedCheckpoint(NamedTuple):
    """A checkpoint as `TrackedRun.log_checkpoints` described it."""

    suite: str
    stage: str  # NAME@KEY
    commit: str  # of the code that trained it
    path: str  # from the folder of the suite
    sha256: str
    step: int


def find_checkpoint(root: Path, uri: str) -> LoggedCheckpoint:
    """A checkpoint by its own URI, "models:/m-ID", or the last one of a run, "runs:/RUN_ID".

    Args:
        root: of the repository.
        uri: what to find.
    Raises:
        ConfigError: it is no such URI.
        ArtifactError: there is no tracking database, it does not know the URI, or ladd did not log that model.
    """
    scheme, _, name = uri.partition(":/")
    if "/" in name or not (scheme == "runs" or (scheme == "models" and name.startswith("m-"))):
        raise ConfigError(f"{uri} names no checkpoint; write runs:/RUN_ID (its last one) or models:/m-ID")
    tracking = tracking_uri(root)
    database = Path(tracking.removeprefix("sqlite:///"))
    if tracking.startswith("sqlite:///") and not database.is_file():
        raise ArtifactError(f"{uri}: there is no {database}; set MLFLOW_TRACKING_URI to the server that has the run")
    client = MlflowClient(tracking_uri=tracking)
    try:
        model = _last_checkpoint(client, name) if scheme == "runs" else client.get_logged_model(name)
        run = client.get_run(model.source_run_id) if model is not None and model.source_run_id else None
    except MlflowException as error:
        raise ArtifactError(f"{uri} is not in {tracking}: {error.message}") from error
    if model is None or run is None or not {"path", "sha256", "step"} <= model.tags.keys():
        raise ArtifactError(f"{uri} has no checkpoint that a training of ladd logged; give the URI of a training")
    tags = run.data.tags
    return LoggedCheckpoint(
        tags["suite"],
        tags["dvc.stage"],
        tags["git.commit"],
        model.tags["path"],
        model.tags["sha256"],
        int(model.tags["step"]),
    )


def _last_checkpoint(client: MlflowClient, run_id: str) -> LoggedModel | None:
    experiment = client.get_run(run_id).info.experiment_id
    query = f"source_run_id = '{run_id}'"
    models = client.search_logged_models([experiment], filter_string=query, max_results=1000)
    return max((model for model in models if "step" in model.tags), key=lambda m: int(m.tags["step"]), default=None)
