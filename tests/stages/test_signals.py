"""What signals do to a training in this process; test_preemption.py has it in processes of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from flows.stage import PREEMPTED
from ladd.errors import PreemptedError
from ladd.stages.signals import SIGNALS, EndRequests


@pytest.fixture(autouse=True)
def handlers():
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield before
    for number, handler in before.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_leaves_a_request(tmp_path, number, handlers):
    file = tmp_path / "stop"
    file.touch()  # of an earlier run
    with EndRequests(file):
        assert not file.exists()
        send(number)
        assert file.exists()
    assert {number: signal.getsignal(number) for number in SIGNALS} == handlers


def interrupt_twice(file: Path) -> None:
    with EndRequests(file):
        send(signal.SIGTERM)
        send(signal.SIGTERM)  # a machine that is taken away may say so twice
        send(signal.SIGINT)
        assert file.exists()
        send(signal.SIGINT)
        pytest.fail("it went on")


def test_second_interrupt_ends_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupt_twice(tmp_path / "stop")


def test_signals_that_are_ignored_stay_so(tmp_path):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` has it
    with EndRequests(tmp_path / "stop"):
        send(signal.SIGHUP)
        assert not (tmp_path / "stop").exists()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def ask_after_the_last_step(file: Path, number: int, late: bool) -> None:
    with EndRequests(file) as requests:
        if not late:
            send(number)
        requests.end_where_it_is()
        assert late
        send(number)
        pytest.fail("it went on")


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("late", [False, True])
def test_request_after_the_last_step_ends_what_comes_after_it(tmp_path, number, late):
    with pytest.raises(PreemptedError) as caught:
        ask_after_the_last_step(tmp_path / "stop", number, late)
    assert PREEMPTED.match(str(caught.value))
