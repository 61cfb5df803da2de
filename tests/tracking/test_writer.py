"""Several processes that train the same: each point is in the run once, whoever files it."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable

import pytest

from ladd.errors import TrackingError
from ladd.tracking import TrackedRun
from ladd.tracking import writer as module
from ladd.tracking.writer import SETTLE, WRITER, Writer, has_ended, this_process


class Clock:
    """Time that passes in sleep alone.

    Attributes:
        slept: seconds.
        meanwhile: functions to be called, one in each sleep.
    """

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, 0.0
        self.meanwhile: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now, self.slept = self.now + seconds, self.slept + seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def log(run: TrackedRun, *steps: int) -> None:
    for step in steps:
        run.log({"loss": 1 / (1 + step)}, step)


def points(count: int) -> list[tuple[int, float]]:
    return [(step, 1 / (1 + step)) for step in range(count)]


def test_two_processes_in_step_file_each_point_once(start, stored):
    with start() as first, start() as second:
        for step in range(50):
            log(first, step)
            log(second, step)
    assert stored().curve("loss") == points(50)
    assert [run.info.status for run in stored().runs()] == ["FINISHED"]


def test_points_are_on_their_way_when_another_process_begins(start, stored, transport):
    first, second = start(), start()
    log(first, *range(20))
    transport.during = [("log_batch", lambda: log(second, *range(40)))]
    log(first, *range(20, 40))
    assert transport.during == []
    with first, second:
        log(first, *range(40, 50))
        log(second, *range(40, 50))
    assert stored().curve("loss") == points(50)


def test_process_that_lost_the_right_files_what_the_other_did_not(start, stored, clock):
    with start() as first:
        log(first, *range(20))
        second = start()
        log(second, *range(20))  # claims, and is killed
        log(first, *range(20, 60))
        assert stored().curve("loss") == points(20)
    assert stored().curve("loss") == points(60)
    assert clock.slept == SETTLE


def test_process_that_was_killed_is_not_waited_for(start, stored, clock):
    run = start()
    with subprocess.Popen(["true"]) as ended:
        pass
    run.tag({WRITER: f"{socket.gethostname()} {ended.pid} 0"})
    log(run, *range(20))
    assert stored().curve("loss") == points(20)
    assert clock.slept == 0


def test_process_of_another_host_is_waited_for_without_holding_up_the_training(start, stored, clock):
    with start() as run:
        run.tag({WRITER: "elsewhere 1 0"})
        log(run, *range(60))
        assert (stored().curve("loss"), clock.slept) == ([], 0)
        clock.now += SETTLE
        log(run, 60)
        assert stored().curve("loss") == points(61)
    assert clock.slept == 0


def test_of_two_that_end_at_once_the_later_goes_first(start, clock):
    run = start()
    first, second = Writer(), Writer()
    assert second.try_to_hold(run.client, run.run_id)
    # While the first waits for its claim to take effect the second claims; then it files what it has, and ends.
    clock.meanwhile = [lambda: second._claim(run.client, run.run_id, "elsewhere 1 0")]
    clock.meanwhile += [lambda: None, lambda: second.release(run.client, run.run_id)]
    first.hold(run.client, run.run_id)
    assert clock.meanwhile == []
    assert run.client.get_run(run.run_id).data.tags[WRITER] == first._name


def test_process_that_files_without_end_is_named(start, clock):
    run = start()
    first = Writer()
    run.tag({WRITER: "elsewhere 1 0"})
    clock.meanwhile = [lambda: run.tag({WRITER: "elsewhere 2 0"})]
    with pytest.raises(TrackingError, match="process elsewhere 2 0 files points"):
        first.hold(run.client, run.run_id)


def test_right_is_free_after_the_end_of_a_run(start, clock):
    with start() as run:
        log(run, 0)
    assert run.client.get_run(run.run_id).data.tags[WRITER] == ""
    with start() as again:
        log(again, 1)
    assert clock.slept == 0


def test_ended_processes_are_known_on_this_host_alone():
    with subprocess.Popen(["true"]) as ended:
        pass
    assert has_ended(f"{socket.gethostname()} {ended.pid}")
    assert not has_ended(this_process())
    assert this_process() == f"{socket.gethostname()} {os.getpid()}"
    for unknown in (f"elsewhere {ended.pid}", "", socket.gethostname(), f"{socket.gethostname()} {10**30}"):
        assert not has_ended(unknown)
