"""Ending a flow ends every process that it started."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

import flows.stage
from flows.stage import EndedError, Processes, heed_interrupts

STUBBORN = "trap '' INT; (trap '' INT; sleep 600) & echo ready; while true; do sleep 600; done"
POLITE = "sleep 600 & echo ready; wait"


@pytest.fixture(autouse=True)
def interrupts() -> Iterator[None]:
    """As in a terminal, although the tests may run in the background of a script."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def started(tmp_path, monkeypatch):
    """Starts a shell script that has printed a line; its processes end with the test."""
    monkeypatch.setattr(flows.stage, "GRACE", 0.5)
    processes, pipes = Processes(), []

    def start(script: str) -> tuple[Processes, subprocess.Popen[str], list[psutil.Process]]:
        process = processes.start(["sh", "-c", script], tmp_path, os.environ)
        pipes.append(process.stdout)
        assert process.stdout.readline() == "ready\n"
        leader = psutil.Process(process.pid)
        return processes, process, [leader, *leader.children(recursive=True)]

    yield start
    processes.end_all()
    for pipe in pipes:
        pipe.close()


@pytest.mark.parametrize("script", [STUBBORN, POLITE], ids=["stubborn", "polite"])
def test_all_are_ended_with_their_children_and_reaped(started, script):
    processes, process, members = started(script)
    assert len(members) >= 2
    processes.end_all()
    assert process.returncode is not None
    assert not any(alive(member) for member in members)


def alive(process: psutil.Process) -> bool:
    """Not counting the dead whose parent has not looked yet."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_interrupt_comes_before_the_kill(started):
    processes, process, _ = started("trap 'exit 7' INT; echo ready; while true; do sleep 0.05; done")
    processes.end_all()
    assert process.returncode == 7


def test_what_a_process_leaves_behind_is_ended_when_it_is_finished(started, tmp_path):
    processes, process, members = started("sleep 600 & echo ready; until test -e go; do sleep 0.05; done")
    (tmp_path / "go").touch()
    process.wait()
    assert alive(members[1])
    processes.finish(process)
    assert not any(alive(member) for member in members)


def test_nothing_starts_after_the_end(started, tmp_path):
    processes, *_ = started(POLITE)
    processes.end_all()
    with pytest.raises(EndedError):
        processes.start(["true"], tmp_path, os.environ)


def test_ending_cuts_a_wait_short(started):
    processes, *_ = started(POLITE)
    processes.end_all()
    start = time.monotonic()
    processes.ended.wait(600)
    assert time.monotonic() - start < 300


def test_children_heed_interrupts_although_the_shell_had_them_ignored():
    """`command &` in a script starts with SIGINT ignored, which children inherit."""
    code = "import subprocess, sys; from flows.stage import heed_interrupts; heed_interrupts(); "
    child = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    code += f"subprocess.run([sys.executable, '-c', {child!r}])"
    script = f"trap '' INT; exec {sys.executable} -c \"$0\""
    shown = subprocess.run(["sh", "-c", script, code], capture_output=True, text=True, check=True)
    assert shown.stdout == "False\n"


def test_a_handler_of_somebody_else_stays():
    def handler(number, frame):
        pass

    signal.signal(signal.SIGINT, handler)
    heed_interrupts()
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_wait_is_interrupted_although_a_library_restarts_calls():
    """Importing polars leaves SIGINT like this, which Python's own view of its handler does not show."""
    signal.siginterrupt(signal.SIGINT, False)
    heed_interrupts()
    over = threading.Event()
    interrupt = threading.Timer(0.5, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    late = threading.Timer(60, over.set)
    interrupt.start()
    late.start()
    with pytest.raises(KeyboardInterrupt):
        over.wait()
    late.cancel()
    assert not over.is_set()
