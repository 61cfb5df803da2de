"""What stages do where the tracking server does not answer: at the start they end, later they go on."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from ladd.cli import main
from ladd.config import load_suite
from ladd.errors import TrackingError
from ladd.stages import compare
from ladd.stages.planned import stages_in_order
from ladd.stages.runtime import FILED, execute
from ladd.stages.tracked import TRACKED
from ladd.tracking import store
from tests.stages.tiny import tiny_values


@pytest.fixture
def away(suite, monkeypatch) -> str:
    """Address of a server that is not there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(store, "_PAUSES", (0.0, 0.0))
    return uri


def first_key(name: str) -> str | None:
    return next((key for stage, key in stages_in_order(tiny_values()) if stage == name), None)


@pytest.mark.parametrize("name", [name for name in FILED if name == "compare" or first_key(name)])
def test_stage_ends_before_it_computes_anything(away, name):
    ran = []
    with pytest.raises(TrackingError, match=f"MLFLOW_TRACKING_URI is {away}, where nothing answers"):
        execute(name, first_key(name), ran.append)
    assert ran == []
    assert [path.name for path in Path(".work").iterdir()] == ["plan.json"]


def test_stage_that_files_nothing_does_not_need_the_server(away):
    ran = []
    execute("data", next(iter(tiny_values()["data"])), ran.append)
    assert len(ran) == 1


def test_stages_that_ask_for_the_server_are_those_that_file():
    assert set(FILED) == {*TRACKED, "compare"}


def test_sync_says_in_one_line_that_the_server_is_away(away, capsys):
    assert main(["track", "sync"]) == 1
    assert capsys.readouterr().err.startswith(f"ladd: MLFLOW_TRACKING_URI is {away}, where nothing answers")


def refuse(suite) -> None:
    raise MlflowException("connection refused")


def test_comparison_ends_well_although_the_server_went_away(away, monkeypatch, caplog):
    monkeypatch.setattr(compare, "show_comparison", refuse)
    compare.publish_comparison(load_suite())
    [record] = caplog.records
    assert record.getMessage().startswith(f"tracking server {away}: connection refused")
    assert "`ladd track sync`" in record.getMessage()


def test_comparison_does_not_pass_over_an_error_of_the_file(suite, monkeypatch):
    monkeypatch.setattr(compare, "show_comparison", refuse)
    with pytest.raises(MlflowException, match="connection refused"):
        compare.publish_comparison(load_suite())
