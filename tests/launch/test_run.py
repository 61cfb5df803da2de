"""`dvc repro` in a process group of its own: what is shown, what an error says, and that nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ladd.errors import StageError
from ladd.launch.run import TAIL, _failed_stage, _pass_on, repro
from tests.launch.repository import make_repository
from tests.stages.tiny import REPOSITORY, environment

PATIENCE = 600.0  # seconds

FAILING = """
stages:
  good:
    cmd: echo made > good.txt
    outs: [good.txt]
  bad:
    foreach: [one]
    do:
      cmd: python -c "print(*range(40), sep='\\n', flush=True); import sys; sys.exit('no such code')"
      deps: [good.txt]
      outs: [bad.txt]
"""

# Says who it is, and will not be interrupted.
STUBBORN = """
import os, pathlib, signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
pathlib.Path("pid.partial").write_text(str(os.getpid()))
os.replace("pid.partial", "pid")
time.sleep(600)
"""


def test_failed_stage_is_named_with_its_last_lines_and_all_output_is_shown(tmp_path, capsys):
    folder = make_repository(tmp_path / "repository", FAILING)
    with pytest.raises(StageError) as caught:
        repro(folder, environment())
    assert (folder / "good.txt").read_text() == "made\n"
    assert caught.value.stage == "bad@one"
    assert len(caught.value.lines) == TAIL
    assert {"30", "39", "no such code"} <= set(caught.value.lines)
    assert "0" not in caught.value.lines
    assert str(caught.value).startswith("bad@one failed; its last lines of output:\n  ")
    assert {"Running stage 'good':", "0", "39"} <= set(capsys.readouterr().out.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_end_of_the_launch_ends_every_process_even_one_that_ignores_it(tmp_path, number):
    folder = make_repository(tmp_path / "repository", "stages:\n  wait:\n    cmd: python wait.py\n    outs: [made]\n")
    (folder / "wait.py").write_text(STUBBORN)
    program = (
        "import os, pathlib; from ladd.launch import run\n"
        f"run.GRACE = 0.5\nrun.repro(pathlib.Path({str(folder)!r}), dict(os.environ))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment() | {"PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until((folder / "pid").exists)
    stage = int((folder / "pid").read_text())
    process.send_signal(number)
    _, errors = process.communicate(timeout=PATIENCE)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
    else:
        assert process.returncode == 128 + number
    wait_until(lambda: is_gone(stage))


def wait_until(condition) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def is_gone(process: int) -> bool:
    """Whether a process has ended, even if nobody has asked how."""
    try:
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] == "Z"
    except (ProcessLookupError, FileNotFoundError):
        return True


def test_lines_that_a_progress_bar_overwrote_are_shown_but_not_kept(capsys):
    assert _pass_on(["start\n", "1/3\r", "2/3\r", "3/3\n", "\n", "end"]) == ["start", "3/3", "end"]
    assert capsys.readouterr().out == "start\n1/3\r2/3\r3/3\n\nend"


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (["Running stage 'a':", "Running stage 'b@x':", "ERROR: failed to reproduce 'b@x': no"], "b@x"),
        (["Running stage 'a':", "killed"], "a"),
        (["ERROR: dvc.yaml is wrong"], "dvc repro (exit code 255)"),
    ],
)
def test_stage_that_failed_is_found_in_the_output(lines, name):
    assert _failed_stage(lines, 255) == name
