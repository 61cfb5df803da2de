"""The runs of a suite, for a list of them."""

from pathlib import Path
from typing import NamedTuple

from ladd.tracking.experiment import CURRENT, PARENT, STATE, existing_experiment, search


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
