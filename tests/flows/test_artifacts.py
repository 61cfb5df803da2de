"""What a flow leaves to read in Prefect is what the suite's own files say."""

import base64
import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.runtime import flow_run

import flows.artifacts
from flows.artifacts import experiment_address, show_results
from ladd.tracking import Experiment
from tests.report.conftest import swd

PICTURE = b"the bytes of a picture"


@pytest.fixture
def results(tmp_path) -> Path:
    """What the compare stage writes: one sweep at two seeds."""
    sweep = {"model": "di-seq", "family": "di-ladd", "schedule": "joint"}
    rows = swd([0.1, 0.1], 4, L=1, K=16, w=8, latent_steps=0, **sweep)
    compare = pl.DataFrame(rows, infer_schema_length=None)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/swd.png").write_bytes(PICTURE)
    (tmp_path / "compare.txt").write_text("the  table\n  of  the  run\n")
    compare.write_csv(tmp_path / "compare.csv")
    return tmp_path


def artifacts(results: Path, name: str) -> dict[str, Any]:
    """Data of the artifacts of a flow that shows results, by key."""

    @flow
    def show() -> UUID:
        show_results(name, results)
        return UUID(flow_run.id)

    only = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[show()]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=only)
    return {each.key: each.data for each in found if each.key is not None}  # results of flows have no key


def test_results_become_artifacts(prefect, results):
    shown = artifacts(results, "Suite One@x")
    assert "```\nthe  table\n  of  the  run\n```" in shown["suite-one-x-comparison"]
    (picture,) = re.findall(r"!\[swd\]\(data:image/png;base64,(.*?)\)", shown["suite-one-x-figures"])
    assert base64.b64decode(picture) == PICTURE
    (line,) = json.loads(shown["suite-one-x-table-1"])
    assert (line["model"], line["schedule"]) == ("di-seq", "joint")
    assert line["4 steps"].startswith("100.00±")  # thousandths
    assert not [column for column in line if column.isdigit()]  # the browser would put them first
    assert "suite-one-x-runs" not in shown  # no MLflow server is there


def test_address_of_an_experiment_is_that_of_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(flows.artifacts, "ROOT", tmp_path)
    monkeypatch.setattr(flows.artifacts, "running_servers", lambda: {"mlflow": "http://server"})
    assert experiment_address("a suite") is None  # nothing is tracked yet
    number = Experiment(tmp_path, "a suite").id
    assert experiment_address("a suite") == f"http://server/#/experiments/{number}/runs?workflowType=machine_learning"
    assert experiment_address("another") is None


def test_there_is_no_address_without_a_server(monkeypatch):
    monkeypatch.setattr(flows.artifacts, "running_servers", lambda: None)
    assert experiment_address("a suite") is None


def test_nothing_is_shown_before_there_are_results(prefect, tmp_path):
    assert artifacts(tmp_path, "nothing") == {}
