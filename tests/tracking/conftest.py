"""A store of its own, whose database is made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from ladd.tracking import TrackedRun, tracking_uri
from ladd.tracking import experiment as experiment_module
from tests.tracking.transport import Transport


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Root of a repository without git."""
    return tmp_path_factory.mktemp("root")


@pytest.fixture
def transport(monkeypatch) -> Transport:
    """What happens to the requests of runs that are opened in the test."""
    transport = Transport()
    monkeypatch.setattr(experiment_module, "MlflowClient", lambda tracking_uri: transport.client(tracking_uri))
    return transport


@pytest.fixture
def start(root, request) -> Callable[..., TrackedRun]:
    """Opens the run of a fingerprint in the test's own experiment."""

    def open_run(fingerprint: str = "a", parameters: dict | None = None, tags: dict | None = None, **options):
        return TrackedRun(
            root,
            suite=request.node.name,
            name="stage2@di",
            fingerprint=fingerprint,
            parameters=parameters or {},
            tags=tags or {},
            **options,
        )

    return open_run


class Stored(NamedTuple):
    """What the store has of the test's own experiment, by a client that meets no transport."""

    client: MlflowClient
    experiment_id: str

    def runs(self) -> list[Run]:
        """All runs but that of the suite."""
        return self.client.search_runs([self.experiment_id], "tags.`ladd.fingerprint` != ''")

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Steps and values of a metric of the only run, in order of steps."""
        (run,) = self.runs()
        return sorted((point.step, point.value) for point in self.client.get_metric_history(run.info.run_id, name))


@pytest.fixture
def stored(root, request) -> Callable[[], Stored]:
    """Looks into the store."""

    def look() -> Stored:
        client = MlflowClient(tracking_uri=tracking_uri(root))
        return Stored(client, client.get_experiment_by_name(request.node.name).experiment_id)

    return look
