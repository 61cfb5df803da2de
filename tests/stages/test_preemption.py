"""SIGTERM, Ctrl-C and a closed terminal: a training saves, ends with exit code 75 and one line, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.stage import PREEMPTED
from ladd.stages.runtime import EXIT_INTERRUPTED, EXIT_TEMPORARY
from tests.stages.tiny import environment, make_suite, stage_command, tiny_values

KEY = "mdlm"
STEPS = 3000


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    """A suite with its data and one training that lasts."""
    values = tiny_values()
    values["baselines"][KEY]["training"] |= {"steps": STEPS, "validate_every": 1000, "checkpoint_every": 1000}
    folder = tmp_path_factory.mktemp("preemption") / "suite"
    make_suite(folder, folder, values | {"root": "."})
    subprocess.run(stage_command("data", "sawtooth"), cwd=folder, env=environment(), check=True)
    return folder


def test_training_that_is_asked_to_end_saves_and_goes_on(suite):
    saved = 0
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        with start(suite) as process:
            assert next(progress(process)) == saved
            next(step for step in progress(process) if step > saved + 10)
            if number == signal.SIGHUP:
                process.stderr.close()  # nobody reads any more: every write of the bar fails
            process.send_signal(number)
            rest = "" if process.stderr.closed else process.stderr.read()
        assert process.returncode == EXIT_TEMPORARY, rest
        if rest:
            assert saved_step(suite, rest) == max(steps(suite))
            assert "Traceback" not in rest
        assert saved + 10 < max(steps(suite)) < STEPS
        saved = max(steps(suite))


SLEEPING = """
import time
from ladd.stages.runtime import run_stage
from ladd.stages.signals import EndRequests

def training(stage):
    with EndRequests(stage.work / "stop"):
        sleep(stage)

def sleep(stage):
    print(stage.work, flush=True)
    time.sleep(60)

run_stage("data", BODY)
"""


@pytest.mark.parametrize("body", ["training", "sleep"])
def test_last_interrupt_is_one_line(suite, body):
    """The second one of a training that does not come to its next step, and the first one of any other stage."""
    command = [sys.executable, "-c", SLEEPING.replace("BODY", body), "sawtooth"]
    with start(suite, command) as process:
        work = suite / process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        if body == "training":
            while not (work / "stop").exists():
                time.sleep(0.01)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
        assert process.stderr.read() == "interrupted\n"
    assert process.returncode == EXIT_INTERRUPTED


@pytest.mark.slow
def test_interrupt_of_dvc_and_its_stage_saves(suite):
    """Ctrl-C goes to the whole group: DVC waits for its stage, which saves, and records nothing."""
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "--quiet"], cwd=suite, env=environment(), check=True)
    command = [*dvc, "repro", "--single-item", f"baseline@{KEY}"]
    for _ in range(2):
        before = max(steps(suite), default=0)
        with start(suite, command) as process:
            next(step for step in progress(process) if step > before + 10)
            os.killpg(process.pid, signal.SIGINT)
            rest = process.stderr.read()
        assert process.returncode == 255
        assert saved_step(suite, rest) > before + 10
        assert "exited with 75" in rest
        assert "Traceback" not in rest
    assert not (suite / "dvc.lock").exists() or "baseline" not in (suite / "dvc.lock").read_text()


def start(suite: Path, command: list[str] | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command or stage_command("baseline", KEY),
        cwd=suite,
        env=environment() | {"PYTHONPATH": str(suite)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def saved_step(suite: Path, output: str) -> int:
    """The step that the one line names, which must be there."""
    [message] = [line for line in output.splitlines() if PREEMPTED.match(line)]
    saved = int(message.split("step ")[1].split()[0])
    assert saved in steps(suite)
    return saved


def steps(suite: Path) -> list[int]:
    return [int(path.name.removeprefix("step-")) for path in (suite / ".work").glob("*/*/step-*")]


def progress(process: subprocess.Popen[str]):
    """Steps as the progress bar shows them."""
    text = ""
    while char := process.stderr.read(1):
        text += char
        if char == "/" and (digits := text[:-1].split(" ")[-1].split("|")[-1].strip()).isdigit():
            yield int(digits)
    raise AssertionError(text)
