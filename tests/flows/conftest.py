"""A Prefect server of its own for the flows that run in this process."""

from collections.abc import Iterator

import pytest
from prefect.testing.utilities import prefect_test_harness

import flows.suite


@pytest.fixture(scope="session")
def server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=300):
        yield


@pytest.fixture
def prefect(server, tmp_path, monkeypatch) -> None:
    """A server; locks of flow runs are kept in the folder of the test."""
    monkeypatch.setattr(flows.suite, "LOCKS", tmp_path / "flow-runs")
