"""A tracking server that goes away: nothing waits for it, and everything is filed once when it is back."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import pytest
from mlflow.exceptions import MlflowException

from ladd.errors import TrackingError
from ladd.tracking import TrackedRun
from ladd.tracking import run as module
from ladd.tracking.writer import Background
from tests.tracking.transport import LONG


@pytest.fixture(autouse=True)
def server(monkeypatch):
    """Runs take their store for a server; what failed is tried again at once."""
    monkeypatch.setattr(module, "has_server", lambda uri: True)
    monkeypatch.setattr(module, "Background", partial(Background, pauses=(0.01,)))


def log(run: TrackedRun, steps: Iterable[int]) -> None:
    for step in steps:
        run.log_row({"step": step, "loss": 1 / (1 + step), "rate": 0.5 * step})


def check(stored, steps: int, status: str = "FINISHED") -> None:
    """There is one run with every point once."""
    assert [run.info.status for run in stored().runs()] == [status]
    assert stored().curve("loss") == [(step, 1 / (1 + step)) for step in range(steps)]
    assert stored().curve("rate") == [(step, 0.5 * step) for step in range(steps)]


def fail(run: TrackedRun) -> None:
    """Wait until a request has failed."""
    assert isinstance(run._background.wait(LONG), MlflowException)


def warnings(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_training_does_not_wait_for_a_server_that_hangs(start, stored, transport):
    with start() as run:
        log(run, range(30))
        transport.answering.clear()
        log(run, range(30, 2000))
        transport.answering.set()
    check(stored, 2000)


def test_server_that_is_away_in_training_gets_all_points_once(start, stored, transport, caplog):
    with start() as run:
        log(run, range(30))
        transport.away = True
        log(run, range(30, 90))
        fail(run)
        log(run, range(90, 150))
        fail(run)
        transport.away = False
        log(run, range(150, 200))
    check(stored, 200)
    [warning] = warnings(caplog)
    assert "does not take what is to be filed (connection refused)" in warning


def test_server_that_is_away_at_the_end_gets_all_from_sync(start, stored, transport, caplog):
    with start() as run:
        log(run, range(30))
        run.flush()
        transport.away = True
        log(run, range(30, 90))
    assert "`ladd track sync`" in warnings(caplog)[-1]
    assert "connection refused" in warnings(caplog)[-1]
    check(stored, 30, "RUNNING")
    transport.away = False
    with start(strict=True) as run:
        log(run, range(90))
    check(stored, 90)


def test_server_that_went_away_before_the_run_was_opened_gets_it_later(start, stored, transport):
    transport.away = True
    with start(parameters={"p": 1}) as run:
        assert run.run_id == ""
        log(run, range(30))
        transport.away = False
    check(stored, 30)
    assert stored().runs()[0].data.params == {"p": "1"}


def test_run_that_could_never_be_opened_does_not_fail_the_stage(start, transport, caplog):
    transport.away = True
    with start() as run:
        log(run, range(30))
        run.log_checkpoints([])
        run.tag({"a": "b"})
    assert "60 points among it" in warnings(caplog)[-1]


@pytest.mark.parametrize("name", ["create_run", "update_run", "log_text", "log_batch", "set_terminated"])
def test_answer_that_is_lost_doubles_nothing(start, stored, transport, name):
    transport.lose = 6 * [name]
    with start(parameters={"p": 1}) as run:
        run.attach("params.yaml", "seed: 0\r\n")
        log(run, range(30))
        while run._background.wait(LONG) is not None:
            pass
        log(run, range(30, 60))
        transport.lose = []
    check(stored, 60)
    (found,) = stored().runs()
    assert [file.path for file in stored().client.list_artifacts(found.info.run_id)] == ["params.yaml"]


def test_refusal_at_the_start_is_an_error(start, transport):
    transport.refuse = "create_run"
    with pytest.raises(TrackingError, match="refuses the run of stage2@di: not for you"):
        start()


def test_refusal_later_is_told_and_does_not_end_the_training(start, stored, transport, caplog):
    with start() as run:
        log(run, range(10))
        run.flush()
        transport.refuse = "log_batch"
        log(run, range(10, 60))
    assert "not for you" in warnings(caplog)[-1]
    check(stored, 10, "RUNNING")


def test_sync_does_not_keep_what_fails(start, transport):
    transport.away = True
    with pytest.raises(MlflowException, match="connection refused"):
        start(strict=True)


def test_error_of_the_stage_is_not_hidden_by_that_of_the_server(start, transport):
    run = start()
    transport.away = True
    with pytest.raises(ZeroDivisionError), run:
        raise ZeroDivisionError


def test_flush_waits_until_points_are_filed(start, stored):
    run = start()
    log(run, range(5))
    run.flush()
    check(stored, 5, "RUNNING")
