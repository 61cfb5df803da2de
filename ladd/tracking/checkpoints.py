"""Checkpoints in MLflow: models of the run that trained them, by reference."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException

from ladd.errors import ArtifactError, ConfigError
from ladd.tracking.store import existing_store, milliseconds, paged, tracking_uri, variable

_PREFIX = "checkpoint/"  # of the metrics of a checkpoint


class LoggedCheckpoint(NamedTuple):
    """A checkpoint as `register_checkpoints` described it."""

    suite: str
    stage: str  # NAME@KEY
    commit: str  # of the code that trained it
    path: str  # from the folder of the suite
    sha256: str
    step: int


def register_checkpoints(
    client: MlflowClient, experiment_id: str, run_id: str, checkpoints: Iterable[Mapping[str, Any]]
) -> None:
    """Register checkpoints with their metrics; what the run has of them is left as it is.

    A kill, of this process or of the server, may have left a model that is not ready, one without its metrics, or
    the metrics in the run and not in the model. ``checkpoints``: each with "name", "path", "sha256", "step" and
    "metrics"."""
    models = {model.name: model for model in _models(client, experiment_id, run_id)}
    for name in [name for name, model in models.items() if model.status != LoggedModelStatus.READY]:
        client.delete_logged_model(models.pop(name).model_id)
    times = _times(client, run_id)
    for checkpoint in checkpoints:
        name, step = checkpoint["name"], checkpoint["step"]
        model = models.get(name) or _create(client, experiment_id, run_id, checkpoint)
        there = {metric.key for metric in model.metrics or ()}
        values = {f"{_PREFIX}{key}": value for key, value in checkpoint["metrics"].items()}
        client.log_batch(
            run_id,
            metrics=[  # MLflow takes a point of the same time, step and value for the one that is there
                Metric(key, value, times.get((key, step), milliseconds()), step, model_id=model.model_id)
                for key, value in values.items()
                if key not in there
            ],
        )


def _create(client: MlflowClient, experiment_id: str, run_id: str, checkpoint: Mapping[str, Any]) -> LoggedModel:
    tags = {key: str(checkpoint[key]) for key in ("path", "sha256", "step")}
    with variable("MLFLOW_TRACKING_URI", client.tracking_uri):  # the function takes the store from nowhere else
        mlflow.set_tracking_uri(client.tracking_uri)
        return mlflow.create_external_model(
            name=checkpoint["name"], source_run_id=run_id, tags=tags, experiment_id=experiment_id
        )


def _times(client: MlflowClient, run_id: str) -> dict[tuple[str, int], int]:
    """Times of the points of checkpoints that the run has, by key and step."""
    keys = [key for key in client.get_run(run_id).data.metrics if key.startswith(_PREFIX)]
    return {(key, point.step): point.timestamp for key in keys for point in client.get_metric_history(run_id, key)}


def find_checkpoint(root: Path, uri: str) -> LoggedCheckpoint:
    """A checkpoint by its own URI, "models:/m-ID", or the last one of a run, "runs:/RUN_ID". Raises ConfigError: it
    is no such URI. ArtifactError: there is no tracking database, it does not know the URI, or ladd did not log that
    model."""
    scheme, _, name = uri.partition(":/")
    if "/" in name or not (scheme == "runs" or (scheme == "models" and name.startswith("m-"))):
        raise ConfigError(f"{uri} names no checkpoint; write runs:/RUN_ID (its last one) or models:/m-ID")
    client = existing_store(root, uri)
    try:
        model = _last_checkpoint(client, name) if scheme == "runs" else client.get_logged_model(name)
        run = client.get_run(model.source_run_id) if model is not None and model.source_run_id else None
    except MlflowException as error:
        raise ArtifactError(f"{uri} is not in {tracking_uri(root)}: {error.message}") from error
    if model is None or run is None or not {"path", "sha256", "step"} <= model.tags.keys():
        raise ArtifactError(f"{uri} has no checkpoint that a training of ladd logged; give the URI of a training")
    suite, stage, commit = (run.data.tags[key] for key in ("suite", "dvc.stage", "git.commit"))
    return LoggedCheckpoint(suite, stage, commit, model.tags["path"], model.tags["sha256"], int(model.tags["step"]))


def _last_checkpoint(client: MlflowClient, run_id: str) -> LoggedModel | None:
    models = _models(client, client.get_run(run_id).info.experiment_id, run_id)
    return max((model for model in models if "step" in model.tags), key=lambda m: int(m.tags["step"]), default=None)


def _models(client: MlflowClient, experiment_id: str, run_id: str) -> Iterator[LoggedModel]:
    """All models of a run, however many."""
    return paged(partial(client.search_logged_models, [experiment_id], f"source_run_id = '{run_id}'"))
