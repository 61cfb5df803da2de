"""What a stage came to is read from what DVC really prints, and only locks are waited for."""

import fcntl
import os
import threading

import pytest
from dvc.lock import make_lock

import flows.stage
from flows.stage import EndedError, Outcome, Processes, StageRunner, classify
from ladd.errors import BusyError, StageError
from tests.flows.checkout import make_checkout, runs, stage
from tests.stages.tiny import environment, tiny_values, write_params

FAILING = "echo first; echo the reason >&2; exit 3"
# As ladd/stages/runtime.py ends when another process has the lock of the stage.
LOCKED = "test -e free || { echo 'a is already running (process 12345); wait for it' >&2; exit 75; }"


# As a training ends on SIGTERM.
PREEMPTED = "test -e saved || { touch saved; echo 'training was asked to end: step 5 is saved' >&2; exit 75; }"


class Suite:
    """A checkout, and a runner of its stages that keeps what is logged."""

    def __init__(self, folder):
        self.folder, self.log = folder, []
        self.processes = Processes()

    def run(self, name: str, *, force: bool = False, patience: float = 60.0) -> Outcome:
        slots = threading.BoundedSemaphore(1)
        runner = StageRunner(self.folder, environment(), self.processes, slots, patience)
        try:
            return runner.run(name, force=force, log=self.log.append)
        finally:
            assert slots.acquire(blocking=False)  # given back, whatever happened


@pytest.fixture
def make_suite(tmp_path, monkeypatch):
    monkeypatch.setattr(flows.stage, "PAUSES", (0.05,))
    return lambda command, **more: Suite(make_checkout(tmp_path / "r", {"a": stage(command, out="a.out", **more)}))


def test_outcomes_are_told_apart(make_suite):
    suite = make_suite("echo hello", params=["seed"])
    values = tiny_values()
    assert suite.run("a") is Outcome.COMPLETED
    assert "hello" in suite.log
    assert suite.run("a") is Outcome.UNCHANGED
    write_params(suite.folder, values | {"seed": 7})
    assert suite.run("a") is Outcome.COMPLETED
    write_params(suite.folder, values)
    assert suite.run("a") is Outcome.RUN_CACHE
    assert runs(suite.folder) == ["a.out"] * 2
    assert suite.run("a", force=True) is Outcome.COMPLETED
    assert runs(suite.folder) == ["a.out"] * 3


def test_advice_of_dvc_is_not_repeated_for_every_stage(make_suite):
    suite = make_suite("echo hello; echo; echo '  indented'")
    suite.run("a")
    assert "  indented" in suite.log
    assert [line for line in suite.log if "git add" in line or "dvc push" in line or not line] == []


def test_failure_shows_the_last_lines_and_is_not_tried_again(make_suite):
    suite = make_suite(FAILING)
    with pytest.raises(StageError) as caught:
        suite.run("a")
    assert caught.value.stage == "a"
    assert {"first", "the reason"} <= set(caught.value.lines)
    assert runs(suite.folder) == ["a.out"]


def test_a_stage_that_was_asked_to_end_starts_again_at_once(make_suite):
    suite = make_suite(PREEMPTED)
    assert suite.run("a", patience=0) is Outcome.COMPLETED
    assert [line for line in suite.log if "a starts again: training was asked to end: step 5" in line]
    assert runs(suite.folder) == ["a.out"] * 2


def test_a_stage_that_is_running_elsewhere_is_waited_for_by_name(make_suite):
    suite = make_suite(LOCKED)
    free = suite.folder / "free"
    suite.log = Waiting(lambda: free.touch())
    assert suite.run("a") is Outcome.COMPLETED
    assert "a waits for another process" in suite.log.told[0]
    assert "a is already running (process 12345)" in suite.log.told[0]


class Waiting(list):
    """A log that does something when it is told of a wait."""

    def __init__(self, act):
        super().__init__()
        self.act, self.told = act, []

    def append(self, line):
        super().append(line)
        if "waits for another process" in line:
            self.told.append(line)
            self.act()


def test_patience_ends_with_a_clear_message(make_suite):
    suite = make_suite(LOCKED)
    with pytest.raises(BusyError) as caught:
        suite.run("a", patience=0)
    assert "a waited 0 minutes for another process" in str(caught.value)
    assert "(process 12345)" in str(caught.value)
    assert "launch again" in str(caught.value)


def test_patience_does_not_end_while_another_stage_of_the_flow_runs(make_suite):
    suite = make_suite(LOCKED)
    other = suite.processes.start(["sleep", "600"], suite.folder, environment())
    other.stdout.close()
    suite.log = Waiting(lambda: len(suite.log.told) == 3 and suite.processes.finish(other))
    with pytest.raises(BusyError, match="waited 0 minutes"):
        suite.run("a", patience=1e-6)
    assert len(suite.log.told) >= 3


def test_lock_of_the_repository_is_waited_for(make_suite):
    suite = make_suite("true")
    (suite.folder / ".dvc/tmp").mkdir()
    lock = make_lock(str(suite.folder / ".dvc/tmp/lock"), tmp_dir=str(suite.folder / ".dvc/tmp"))
    lock.lock()
    suite.log = Waiting(lock.unlock)
    assert suite.run("a") is Outcome.COMPLETED
    assert len(suite.log.told) == 1


def test_files_in_use_by_another_dvc_are_waited_for(make_suite):
    suite = make_suite("true")
    claims = suite.folder / ".dvc/tmp/rwlock"
    claims.parent.mkdir()
    held = {str(suite.folder / "a.out"): {"pid": os.getpid(), "cmd": "dvc repro"}}
    claims.write_text(str({"write": held, "read": {}}).replace("'", '"'))
    suite.log = Waiting(claims.unlink)
    assert suite.run("a") is Outcome.COMPLETED
    assert f"(PID {os.getpid()}): dvc repro" in suite.log.told[0]


def test_killed_dvc_ends_its_stage_too_and_says_so(make_suite):
    # The stage outlives its dvc, holds its lock, and keeps the pipe open.
    suite = make_suite("kill -KILL $PPID; flock held sleep 600")
    with pytest.raises(StageError) as caught:
        suite.run("a")
    assert "dvc was ended by signal 9" in str(caught.value)
    with (suite.folder / "held").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if it lives


def test_no_stage_starts_once_the_flow_is_being_ended(make_suite):
    suite = make_suite("true")
    suite.processes.end_all()
    with pytest.raises(EndedError):
        suite.run("a")
    assert runs(suite.folder) == []


@pytest.mark.parametrize("line", ["Unable to acquire the target", "the cache is busy today", "exited with 750"])
def test_similar_words_of_a_stage_are_no_reason_to_wait(line):
    with pytest.raises(StageError):
        classify("a", 255, [line, "ERROR: failed to reproduce 'a': failed to run: x, exited with 1"])


def test_words_of_an_upstream_text_are_not_taken_for_those_of_dvc():
    assert classify("a", 0, ["we read: Stage 'b' is cached - skipping run, checking out outputs"]) is Outcome.COMPLETED
