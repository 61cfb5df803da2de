"""One stage: `dvc repro -s STAGE` in a process of its own, what came of it, and what is tried again."""

import enum
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ladd.errors import BusyError, PreemptedError, StageError
from ladd.launch.run import TAIL, end_groups, start_group

GRACE = 10.0  # seconds between SIGINT and SIGKILL
Log = Callable[[str], object]
PATIENCE = 600.0  # seconds that a stage waits for processes that are not of the flow
PAUSES = (2.0, 4.0, 8.0, 15.0)  # seconds between tries; the last one repeats
_DRAIN = 2.0  # seconds for the last lines after the end of dvc
UNCHANGED = re.compile(r"^Stage '.*' didn't change, skipping$")
RESTORED = re.compile(r"^Stage '.*' is cached - skipping run, checking out outputs$")
# DVC's lock of the repository, its claims on paths, and the lock of the stage itself (exit code 75).
BUSY = re.compile(r"Unable to acquire lock\.|' is busy, it is being blocked by:|, exited with 75$")
ADVICE = re.compile(
    r"^(To track the changes with git|To enable auto staging|Use `dvc push`|\s+(git add|dvc config) )|^$"
)
PREEMPTED = re.compile(r"^training was asked to end: .*$")  # exit code 75 too: a checkpoint is saved
HOLDER = re.compile(r"^\s*\(PID \d+\): .*$|^.* is already running \(process \d+\).*$")


class EndedError(Exception):
    """The flow is being ended: no process is started any more."""


class Processes:
    """The live processes of a flow. ``ended``: set when nothing may be started any more; waiting for it is a sleep
    that ending cuts short."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._live: set[subprocess.Popen] = set()
        self._lock = threading.Lock()

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen:
        """Start a command, its output and errors in one pipe. Raises EndedError: `end_all` was called."""
        with self._lock:
            self.check()
            process = start_group(command, folder, environment, text=True, errors="replace")
            self._live.add(process)
        return process

    @property
    def running(self) -> bool:
        """Whether any of them runs."""
        with self._lock:
            return bool(self._live)

    def check(self) -> None:
        if self.ended.is_set():
            raise EndedError("the flow is being ended")

    def finish(self, process: subprocess.Popen) -> None:
        """End what a process left behind in its group, and forget it."""
        end_groups([process], GRACE)
        with self._lock:
            self._live.discard(process)

    def end_all(self) -> None:
        """End all processes and what they started, and start no more."""
        with self._lock:
            self.ended.set()
            live = list(self._live)
        end_groups(live, GRACE)


def heed_interrupts() -> None:
    """Make SIGINT end the processes started from here: a shell starts background jobs with SIGINT ignored, and
    children inherit that. A terminal that goes away interrupts too, unless told not to (`nohup`)."""
    if threading.current_thread() is threading.main_thread():
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        # Importing polars makes SIGINT restart the call that it interrupts: a wait for a stage would go on to its end.
        signal.siginterrupt(signal.SIGINT, True)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, signal.default_int_handler)


class Outcome(enum.StrEnum):
    """What a stage came to; the name of its state in Prefect."""

    UNCHANGED = "Unchanged"
    RUN_CACHE = "RunCache"
    COMPLETED = "Completed"


MEANING = {
    Outcome.UNCHANGED: "up to date: nothing ran",
    Outcome.RUN_CACHE: "restored from DVC's cache of earlier runs: the command did not run",
    Outcome.COMPLETED: "the command ran",
}


def classify(stage: str, code: int, lines: Sequence[str]) -> Outcome:
    """What `dvc repro -s` did, from its exit code and output: it exits with 255 for every kind of failure. Raises
    BusyError: another process holds a lock; a later try may succeed. PreemptedError: the stage was asked to end and
    saved a checkpoint; another try goes on from it. StageError: anything else, with the last lines."""
    if code == 0:
        if any(RESTORED.match(line) for line in lines):
            return Outcome.RUN_CACHE
        return Outcome.UNCHANGED if any(UNCHANGED.match(line) for line in lines) else Outcome.COMPLETED
    if asked := [line for line in lines if PREEMPTED.match(line)]:
        raise PreemptedError(asked[-1])
    if any(BUSY.search(line) for line in lines):
        holders = [line.strip() for line in lines if HOLDER.match(line)]
        raise BusyError("; ".join(holders) or "another dvc process has the lock of the repository")
    why = [f"dvc was ended by signal {-code}, and its stage with it; the next launch goes on"] if code < 0 else []
    raise StageError(stage, [*lines[-TAIL:], *why])


@dataclass(frozen=True)
class StageRunner:
    """Runs stages of one suite."""

    folder: Path  # of the suite
    environment: Mapping[str, str]  # of the processes
    processes: Processes  # where they are known, to be ended with the flow
    slots: threading.Semaphore  # how many stages run at once
    patience: float = PATIENCE  # seconds to wait for processes that are not of the flow

    def run(self, stage: str, *, force: bool, log: Log) -> Outcome:
        """Run a stage; wait for others that have its files in use, and go on where it was asked to end. Raises
        BusyError: they still are when patience ends. StageError: the stage failed. EndedError: the flow is being
        ended."""
        since, tries = None, 0
        while True:
            try:
                with self.slots:
                    return self._try(stage, force=force, log=log)
            except PreemptedError as error:
                log(f"{stage} starts again: {error}")
                since, tries = None, 0
                continue
            except BusyError as error:
                if since is None or self.processes.running:  # stages of this flow end, however long they train
                    since = time.monotonic()
                waited = time.monotonic() - since
                if waited >= self.patience:
                    raise BusyError(
                        f"{stage} waited {waited / 60:.0f} minutes for another process, which is still there: {error}; "
                        "wait for it or end it, then launch again"
                    ) from None
                log(f"{stage} waits for another process ({waited:.0f} s of {self.patience:.0f} s): {error}")
            self.processes.ended.wait(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    def _try(self, stage: str, *, force: bool, log: Log) -> Outcome:
        command = [sys.executable, "-m", "dvc", "repro", "--single-item", *(["--force"] if force else []), stage]
        lines: list[str] = []
        process = self.processes.start(command, self.folder, self.environment)

        def read() -> None:
            assert process.stdout is not None
            with process.stdout as output:
                for line in map(str.rstrip, output):
                    if not ADVICE.match(line):
                        lines.append(line)
                        log(line)

        # A thread, because a stage whose dvc was killed keeps the pipe open.
        reader = threading.Thread(target=read, name=f"output of {stage}", daemon=True)
        reader.start()
        try:
            code = process.wait()
            reader.join(_DRAIN)
        finally:
            self.processes.finish(process)
            reader.join(_DRAIN)
        self.processes.check()
        return classify(stage, code, lines)
