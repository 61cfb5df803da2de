"""The runs of a suite: one of the suite itself, the parent, and one of every tracked stage below it; what they say."""

import json
import logging
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag
from mlflow.exceptions import MlflowException

from ladd.errors import ArtifactError
from ladd.tracking.store import (
    artifact_location,
    existing_store,
    experiment_name,
    milliseconds,
    paged,
    store_lock,
    tracking_uri,
)
from ladd.tracking.view import KIND, NOTE, experiment_tags, is_ours, note, origin_tags
from ladd.tracking.writer import has_ended

PROCESS = "ladd.process"  # tag of a run: host and number of the process that last ran it
_SILENCE = 24 * 3600  # seconds without a point after which a process on another host counts as gone
PARENT, PARENT_ID, STATE = "ladd.parent", "mlflow.parentRunId", "ladd.state"
CURRENT, SUPERSEDED = "current", "superseded"
_TABLES = "mlflow.loggedArtifacts"  # MLflow's page of a run shows the files that this tag names as tables
log = logging.getLogger(__name__)
_TEXT = "compare.txt"  # the file that the description of that run shows
SETTINGS = "params.yaml"  # the file of a run that holds the whole suite


class Experiment:
    """The experiment of a suite."""

    def __init__(self, root: Path, suite: str):
        """Open the experiment; it and its parent run are made where they are missing."""
        self.root, self.name = root, experiment_name(suite)
        with store_lock(root):
            self.client = MlflowClient(tracking_uri=tracking_uri(root))
            found = self.client.get_experiment_by_name(self.name)
            self.id: str = found.experiment_id if found is not None else self._create()
            self.parent_id: str = self._open_parent(suite)

    def _create(self) -> str:
        location = artifact_location(self.root, self.name)
        try:
            return self.client.create_experiment(self.name, artifact_location=location, tags=dict(KIND))
        except MlflowException:
            found = self.client.get_experiment_by_name(self.name)  # another machine made it just now
            if found is None:
                raise
            return found.experiment_id

    def _open_parent(self, suite: str) -> str:
        run = self._only(f"tags.`{PARENT}` = '{suite}'", self.name, {PARENT: suite, "suite": suite})
        if run.info.status != "FINISHED":  # it holds what is known of the suite, and never runs itself
            self.client.set_terminated(run.info.run_id)
        return run.info.run_id

    def find(self, fingerprint: str) -> Run | None:
        return self._oldest(_query(fingerprint))

    def find_or_create(self, fingerprint: str, name: str, tags: Mapping[str, str]) -> Run:
        """The run of a stage with these inputs, which is made where it is missing, with a name and tags."""
        return self._only(_query(fingerprint), name, tags)

    def _oldest(self, query: str) -> Run | None:
        runs = self.client.search_runs([self.id], query, max_results=1, order_by=["attributes.start_time ASC"])
        return runs[0] if runs else None

    def _only(self, query: str, name: str, tags: Mapping[str, str]) -> Run:
        """The run that a query finds. Where two machines make it at the same time, the older one stays."""
        if (found := self._oldest(query)) is not None:
            return found
        made = self.client.create_run(self.id, run_name=name, tags=dict(tags))
        kept = self._oldest(query) or made
        if kept.info.run_id != made.info.run_id:
            self.client.delete_run(made.info.run_id)
        return kept

    def runs(self) -> Iterator[Run]:
        """All runs but the parent."""
        return (run for run in search(self.client, self.id) if PARENT not in run.data.tags)

    def mark(self, current: Mapping[str, str | None]) -> None:
        """Say of every run whether the suite as it is now has it, and end those of others that were left running.
        ``current``: fingerprint of every tracked stage, by NAME@KEY; None where it is not known, which leaves the
        runs of that stage as they are."""
        for run in self.runs():
            tags = run.data.tags
            fingerprint = current.get(tags.get("dvc.stage", ""), "")
            wanted = {PARENT_ID: self.parent_id}
            if fingerprint is not None:
                wanted[STATE] = CURRENT if tags.get("ladd.fingerprint") == fingerprint else SUPERSEDED
            changed = {key: value for key, value in wanted.items() if tags.get(key) != value}
            set_tags(self.client, run.info.run_id, changed)
            superseded = wanted.get(STATE) == SUPERSEDED  # a current one goes on, or `ladd track sync` completes it
            if superseded and run.info.status == "RUNNING" and self._is_left(run):
                self.client.set_terminated(run.info.run_id, status="KILLED")

    def _is_left(self, run: Run) -> bool:
        """Whether nobody runs it: its process is gone from this host, or says nothing from another one."""
        if has_ended(run.data.tags.get(PROCESS, "")):
            return True
        curves = (self.client.get_metric_history(run.info.run_id, key) for key in run.data.metrics)
        last = max([run.info.start_time, *(point.timestamp for curve in curves for point in curve)])
        return milliseconds() - last > 1000 * _SILENCE

    def publish(
        self,
        *,
        table: tuple[str, Sequence[str], Sequence[Sequence[Any]]],
        files: Iterable[tuple[Path, str | None]],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
        main: tuple[str, bool] = ("", False),
    ) -> None:
        """Show the results of the suite on its run. What was there is replaced, and equal results add no point.
        ``table``: name of the file, columns and rows. ``files``: each with the folder that it goes to, None for the
        top. ``main``: the main metric, and whether higher values of it are better."""
        name, columns, rows = table
        self.client.log_dict(self.parent_id, {"columns": columns, "data": rows}, name)
        data, now = self.client.get_run(self.parent_id).data, milliseconds()
        for path, folder in files:
            self.client.log_artifact(self.parent_id, str(path), folder)
            if path.name == _TEXT and is_ours(data.tags.get(NOTE)):
                tags = {**tags, NOTE: note(self.name, path.read_text())}
        points = [Metric(key, value, now, 0) for key, value in metrics.items() if data.metrics.get(key) != value]
        self.client.log_batch(self.parent_id, metrics=points)
        tags = origin_tags("compare", tags.get("git.commit", "")) | dict(tags)
        set_tags(self.client, self.parent_id, {**tags, _TABLES: json.dumps([{"path": name, "type": "table"}])})
        self.client.set_terminated(self.parent_id)  # at this time
        names = (each.partition("/")[0] for each in metrics)
        for key, value in experiment_tags(names, main).items():
            self.client.set_experiment_tag(self.id, key, value)


def _query(fingerprint: str) -> str:
    return f"tags.`ladd.fingerprint` = '{fingerprint}'"


def existing_experiment(root: Path, suite: str) -> tuple[MlflowClient, str]:
    """Client and id of the experiment of a suite; nothing is created. Raises ArtifactError: there is no tracking
    database, or it has no such experiment."""
    name = experiment_name(suite)
    client = existing_store(root, f"experiment {name}")
    found = client.get_experiment_by_name(name)
    if found is None:
        names = sorted(experiment.name for experiment in client.search_experiments())
        raise ArtifactError(
            f"{tracking_uri(root)} has no experiment {name!r}; it has {names}: "
            "`dvc repro` or `ladd track sync` makes it"
        )
    return client, found.experiment_id


def search(client: MlflowClient, experiment_id: str, query: str = "") -> Iterator[Run]:
    """All runs of an experiment that a filter takes, however many."""
    return paged(partial(client.search_runs, [experiment_id], query))


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, Any]) -> None:
    if tags:
        client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])


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
    ``fingerprints``: of its evaluations, by NAME@KEY; None where it is not known."""
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
