"""The pipeline of a suite in a process group of its own."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ladd.errors import StageError
from ladd.launch.ready import make_ready

Runner = Callable[[Path, Mapping[str, str]], None]  # folder of the suite, environment; raises StageError
TAIL = 20  # lines of output that an error shows
GRACE = 30.0  # seconds from SIGINT to SIGKILL
REAPING = 2.0  # seconds that the killed have to vanish
_POLL = 0.05


def repro(folder: Path, environment: Mapping[str, str], *targets: str) -> None:
    """Run `dvc repro` in the folder of a suite, of all stages or of some; its output goes through as it comes.

    Whatever ends this early, such as Ctrl-C, SIGTERM or a closed terminal, ends every process that it started:
    SIGINT, and SIGKILL for those that live on. Raises ConfigError: the settings are not valid. StageError: a stage
    failed; with its name and the last lines of output."""
    make_ready(folder, environment)
    with _signals_as_exit():
        process = start_group([sys.executable, "-m", "dvc", "repro", *targets], folder, environment)
        lines = _follow(process)
    if process.returncode:
        raise StageError(_failed_stage(lines, process.returncode), lines[-TAIL:])


def _follow(process: subprocess.Popen) -> list[str]:
    """Print what a process prints until it has ended; returns its last lines."""
    assert process.stdout is not None
    try:
        # newline="": a progress bar ends its lines with a carriage return, which must get through.
        with io.TextIOWrapper(process.stdout, errors="replace", newline="") as output:
            lines = _pass_on(output)
        process.wait()
    except BaseException:
        end_groups([process], GRACE)
        raise
    return lines


@contextlib.contextmanager
def _signals_as_exit() -> Iterator[None]:
    """SIGTERM and SIGHUP end this process as an exception does, and not at once: others would be left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python takes signals in the main thread alone
        return
    before = {number: signal.signal(number, _exit) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _exit(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _pass_on(output: Iterable[str]) -> list[str]:
    """Print lines as they come; returns the last of them, without those that the next one overwrote."""
    kept: deque[str] = deque(maxlen=50 * TAIL)
    overwritten = False
    for line in output:
        sys.stdout.write(line)
        sys.stdout.flush()
        if overwritten:
            kept.pop()
        overwritten = line.endswith("\r")
        kept.append(line.rstrip("\r\n"))
    return [line for line in kept if line]


def _failed_stage(lines: list[str], code: int) -> str:
    """As DVC names it: in its error, or the last stage that it started."""
    text = "\n".join(lines)
    names = re.findall(r"failed to reproduce '([^']+)'", text) or re.findall(r"Running stage '([^']+)'", text)
    return names[-1] if names else f"dvc repro (exit code {code})"


def start_group(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], **options: Any
) -> subprocess.Popen:
    """Start a command as the leader of a process group, its output and errors in one pipe."""
    options |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **options)


def end_groups(leaders: Iterable[subprocess.Popen], grace: float) -> None:
    """Interrupt process groups, kill those that are still there after ``grace`` seconds, and reap their leaders."""
    left = [each for each in leaders if _signal(each, signal.SIGINT)]
    try:
        left = _wait(left, grace)
    finally:  # a second Ctrl-C comes here at once
        _wait([each for each in left if _signal(each, signal.SIGKILL)], REAPING)


def _wait(leaders: list[subprocess.Popen], seconds: float) -> list[subprocess.Popen]:
    """Those whose groups still have members after some seconds."""
    deadline = time.monotonic() + seconds
    while (leaders := [each for each in leaders if _signal(each, 0)]) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return leaders


def _signal(leader: subprocess.Popen, number: int) -> bool:
    """Signal a group; False where nobody is left in it."""
    leader.poll()  # reaps it: a dead leader would count as a member
    try:
        os.killpg(leader.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
