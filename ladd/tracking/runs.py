"""The runs of a suite, and the suites that have some, for lists of them."""

from pathlib import Path
from typing import NamedTuple

from mlflow.entities import Experiment

from ladd.tracking.experiment import CURRENT, PARENT, STATE, existing_experiment, search
from ladd.tracking.store import existing_store, paged

DEFAULT = "Default"  # MLflow makes it in every store


class ListedRun(NamedTuple):
    """One run; times are milliseconds since 1970, and None where it goes on."""

    id: str
    stage: str  # NAME@KEY
    current: bool  # of the suite as it was last seen
    status: str
    started: int
    ended: int | None
    commit: str


def list_runs(root: Path, suite: str) -> list[ListedRun]:
    """All runs of the stages of a suite, newest first. Raises ArtifactError: there is no tracking database, or it has
    no such experiment."""
    client, experiment = existing_experiment(root, suite)
    found = [
        ListedRun(
            run.info.run_id,
            run.data.tags.get("dvc.stage", run.info.run_name or ""),
            run.data.tags.get(STATE, CURRENT) == CURRENT,
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            run.data.tags.get("git.commit", ""),
        )
        for run in search(client, experiment)
        if PARENT not in run.data.tags
    ]
    return sorted(found, key=lambda run: run.started, reverse=True)


def tracked_suites(root: Path) -> dict[str, Experiment]:
    """Experiments of suites by name, the one that was changed last first. Raises ArtifactError: there is no tracking
    database."""
    found = paged(existing_store(root, "the list of experiments").search_experiments)
    own = (each for each in found if each.name != DEFAULT)
    return {each.name: each for each in sorted(own, key=lambda each: -(each.last_update_time or 0))}
