"""The pipeline of a suite in a process group of its own."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from ladd.errors import StageError
from ladd.launch.ready import make_ready

Runner = Callable[[Path, Mapping[str, str]], None]  # folder of the suite, environment; raises StageError
TAIL = 20  # lines of output that an error shows
GRACE = 30.0  # seconds from SIGINT to SIGKILL


def repro(folder: Path, environment: Mapping[str, str], *targets: str) -> None:
    """Run `dvc repro` in the folder of a suite, of all stages or of some; its output goes through as it comes.

    Whatever ends this early, such as Ctrl-C, SIGTERM or a closed terminal, ends every process that it started:
    SIGINT, and SIGKILL for those that live on. Raises ConfigError: the settings are not valid. StageError: a stage
    failed; with its name and the last lines of output."""
    make_ready(folder, environment)
    with _signals_as_exit():
        process = subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro", *targets],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
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
        _end(process)
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


def _end(process: subprocess.Popen) -> None:
    """Ask the process group to end, then make it."""
    try:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=GRACE)
    finally:  # a second Ctrl-C comes here at once
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
