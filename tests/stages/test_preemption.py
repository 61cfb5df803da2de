"""SIGTERM, as it comes before a machine is taken away: a training saves, ends with exit code 75, and goes on."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from flows.stage import PREEMPTED
from ladd.stages.runtime import EXIT_TEMPORARY
from tests.stages.tiny import environment, make_suite, stage_command, tiny_values

KEY = "mdlm"
STEPS = 3000


@pytest.fixture
def suite(tmp_path) -> Path:
    """A suite with its data and one training that lasts."""
    values = tiny_values()
    values["baselines"][KEY]["training"] |= {"steps": STEPS, "validate_every": 1000, "checkpoint_every": 1000}
    folder = make_suite(tmp_path / "suite", tmp_path / "suite", values | {"root": "."})
    subprocess.run(stage_command("data", "sawtooth"), cwd=folder, env=environment(), check=True)
    return folder


def test_training_that_is_asked_to_end_saves_and_goes_on(suite):
    with start(suite) as process:
        next(step for step in progress(process) if step > 10)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == EXIT_TEMPORARY, rest
    [message] = [line for line in rest.splitlines() if PREEMPTED.match(line)]
    saved = int(message.split("step ")[1].split()[0])
    assert [path.name for path in (suite / ".work").glob("*/*/step-*")] == [f"step-{saved:08d}"]
    assert 10 < saved < STEPS

    with start(suite) as process:
        assert next(progress(process)) == saved
        process.kill()


def start(suite: Path) -> subprocess.Popen[str]:
    command = stage_command("baseline", KEY)
    return subprocess.Popen(command, cwd=suite, env=environment(), stderr=subprocess.PIPE, text=True)


def progress(process: subprocess.Popen[str]):
    """Steps as the progress bar shows them."""
    text = ""
    while char := process.stderr.read(1):
        text += char
        if char == "/" and (digits := text[:-1].split(" ")[-1].split("|")[-1].strip()).isdigit():
            yield int(digits)
    raise AssertionError(text)
