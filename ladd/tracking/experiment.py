"""The runs of a suite: one of the suite itself, the parent, and one of every tracked stage below it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Run, RunTag

from ladd.errors import ArtifactError
from ladd.tracking.store import artifact_location, existing_store, experiment_name, milliseconds, store_lock
from ladd.tracking.store import tracking_uri as uri_of

PARENT, PARENT_ID, STATE = "ladd.parent", "mlflow.parentRunId", "ladd.state"
CURRENT, SUPERSEDED = "current", "superseded"
_TABLES = "mlflow.loggedArtifacts"  # MLflow's page of a run shows the files that this tag names as tables
_PAGE = 1000


class Experiment:
    """The experiment of a suite.

    Attributes:
        client: of the store.
        id: of the experiment.
        name: SUITE or SUITE@LAUNCH.
        parent_id: of the run of the suite.
    """

    def __init__(self, root: Path, suite: str):
        """Open the experiment; it and its parent run are made where they are missing.

        Args:
            root: of the repository.
            suite: its name.
        """
        self.root, self.name = root, experiment_name(suite)
        with store_lock(root):
            self.client = MlflowClient(tracking_uri=uri_of(root))
            found = self.client.get_experiment_by_name(self.name)
            self.id: str = found.experiment_id if found is not None else self._create()
            self.parent_id: str = self._open_parent(suite)

    def _create(self) -> str:
        return self.client.create_experiment(self.name, artifact_location=artifact_location(self.root, self.name))

    def _open_parent(self, suite: str) -> str:
        runs = self.client.search_runs([self.id], f"tags.`{PARENT}` = '{suite}'", max_results=1)
        tags = {PARENT: suite, "suite": suite}
        run = runs[0] if runs else self.client.create_run(self.id, run_name=self.name, tags=tags)
        if run.info.status != "FINISHED":  # it holds what is known of the suite, and never runs itself
            self.client.set_terminated(run.info.run_id)
        return run.info.run_id

    def find(self, fingerprint: str) -> Run | None:
        """The run of a stage with these inputs."""
        runs = self.client.search_runs([self.id], f"tags.`ladd.fingerprint` = '{fingerprint}'", max_results=1)
        return runs[0] if runs else None

    def runs(self) -> Iterator[Run]:
        """All runs but the parent."""
        return (run for run in search(self.client, self.id) if PARENT not in run.data.tags)

    def mark(self, current: Mapping[str, str | None]) -> None:
        """Say of every run whether the suite as it is now has it.

        Args:
            current: fingerprint of every tracked stage, by NAME@KEY; None where it is not known, which leaves the
                runs of that stage as they are.
        """
        for run in self.runs():
            tags = run.data.tags
            fingerprint = current.get(tags.get("dvc.stage", ""), "")
            wanted = {PARENT_ID: self.parent_id}
            if fingerprint is not None:
                wanted[STATE] = CURRENT if tags.get("ladd.fingerprint") == fingerprint else SUPERSEDED
            changed = {key: value for key, value in wanted.items() if tags.get(key) != value}
            set_tags(self.client, run.info.run_id, changed)

    def publish(
        self,
        *,
        table: tuple[str, Sequence[str], Sequence[Sequence[Any]]],
        files: Iterable[tuple[Path, str | None]],
        metrics: Mapping[str, float],
        tags: Mapping[str, str],
    ) -> None:
        """Show the results of the suite on its run. What was there is replaced, and equal results add no point.

        Args:
            table: name of the file, columns and rows.
            files: each with the folder that it goes to, None for the top.
            metrics: latest values.
            tags: of the run.
        """
        name, columns, rows = table
        self.client.log_dict(self.parent_id, {"columns": columns, "data": rows}, name)
        for path, folder in files:
            self.client.log_artifact(self.parent_id, str(path), folder)
        known, now = self.client.get_run(self.parent_id).data.metrics, milliseconds()
        points = [Metric(key, value, now, 0) for key, value in metrics.items() if known.get(key) != value]
        self.client.log_batch(self.parent_id, metrics=points)
        set_tags(self.client, self.parent_id, {**tags, _TABLES: json.dumps([{"path": name, "type": "table"}])})
        self.client.set_terminated(self.parent_id)  # at this time


def existing_experiment(root: Path, suite: str) -> tuple[MlflowClient, str]:
    """Client and id of the experiment of a suite; nothing is created.

    Raises:
        ArtifactError: there is no tracking database, or it has no such experiment.
    """
    name = experiment_name(suite)
    client = existing_store(root, f"experiment {name}")
    found = client.get_experiment_by_name(name)
    if found is None:
        names = sorted(experiment.name for experiment in client.search_experiments())
        raise ArtifactError(
            f"{uri_of(root)} has no experiment {name!r}; it has {names}: `dvc repro` or `ladd track sync` makes it"
        )
    return client, found.experiment_id


def search(client: MlflowClient, experiment_id: str, query: str = "") -> Iterator[Run]:
    """All runs of an experiment that a filter takes, however many."""
    token = None
    while True:
        page = client.search_runs([experiment_id], query, max_results=_PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


def set_tags(client: MlflowClient, run_id: str, tags: Mapping[str, Any]) -> None:
    """Set tags of a run, all at once."""
    if tags:
        client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])
