"""What runs say, for those who read them."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from ladd.errors import ArtifactError
from ladd.tracking.experiment import CURRENT, STATE, existing_experiment, search
from ladd.tracking.store import existing_store, tracking_uri

log = logging.getLogger(__name__)
SETTINGS = "params.yaml"  # the file of a run that holds the whole suite


class Evaluation(NamedTuple):
    """The run of an evaluation."""

    tags: Mapping[str, str]
    parameters: Mapping[str, str]
    points: Mapping[str, Mapping[int, float]]  # metric -> step -> value


class LoggedRun(NamedTuple):
    """The run of a stage."""

    id: str
    name: str
    tags: Mapping[str, str]
    settings: str | None  # text of its params.yaml


def current_evaluations(root: Path, suite: str, fingerprints: Mapping[str, str | None]) -> list[Evaluation]:
    """The evaluations of a suite as it is now, in order of name; a warning names those that have no run.

    The marks of `compare` and `ladd track sync` are those of the suite as these last saw it, so they count only
    where no fingerprint is known. Raises ArtifactError: there is no store, no such experiment, or no such run.

    Args:
        fingerprints: of its evaluations, by NAME@KEY; None where it is not known.
    """
    client, experiment_id = existing_experiment(root, suite)
    found: dict[str, Run] = {}
    for run in search(client, experiment_id, "tags.role = 'evaluation'"):
        stage, tags = run.data.tags["dvc.stage"], run.data.tags
        known = fingerprints.get(stage, "")
        if tags.get(STATE) == CURRENT if known is None else tags.get("ladd.fingerprint") == known:
            found[stage] = run
    for stage in sorted(fingerprints.keys() - found.keys()):
        log.warning(
            "%s: MLflow has no run of it as the suite is now, so it is not shown; `dvc repro`, then `ladd track sync`",
            stage,
        )
    for stage in sorted(stage for stage in found if fingerprints[stage] is None):
        log.warning("%s: what it reads is not here, so its run is the one that was last marked as current", stage)
    runs = [found[stage] for stage in sorted(found)]
    if not runs:
        raise ArtifactError(
            f"no evaluation in the MLflow experiment of {suite!r} is current; `dvc repro` or `ladd track sync` says "
            "which are"
        )
    return [Evaluation(run.data.tags, run.data.params, _points(client, run)) for run in runs]


def _points(client: MlflowClient, run: Run) -> dict[str, dict[int, float]]:
    curves = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    return {
        key: {point.step: point.value for point in sorted(curve, key=lambda point: point.timestamp)}
        for key, curve in curves.items()
    }


def find_run(root: Path, run_id: str) -> LoggedRun:
    """A run by its id. Raises ArtifactError: there is no such run, or no stage of ladd made it."""
    client = existing_store(root, f"run {run_id}")
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        raise ArtifactError(f"run {run_id} is not in {tracking_uri(root)}: {error.message}") from error
    if missing := [key for key in ("suite", "dvc.stage", "git.commit") if key not in run.data.tags]:
        raise ArtifactError(f"run {run_id} has no tag {missing[0]}: it is not the run of a stage")
    return LoggedRun(run_id, run.info.run_name, run.data.tags, _settings(client, run_id))


def _settings(client: MlflowClient, run_id: str) -> str | None:
    if SETTINGS not in {file.path for file in client.list_artifacts(run_id)}:
        return None
    with tempfile.TemporaryDirectory() as folder:
        return Path(client.download_artifacts(run_id, SETTINGS, folder)).read_text()
