"""Processes that a flow starts: each in a group of its own, so that ending it ends all that it started."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

GRACE = 10.0  # seconds between SIGINT and SIGKILL
REAPING = 2.0  # seconds that the killed have to vanish
_POLL = 0.05


class EndedError(Exception):
    """The flow is being ended: no process is started any more."""


class Processes:
    """The live processes of a flow.

    Attributes:
        ended: set when nothing may be started any more; waiting for it is a sleep that ending cuts short.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._live: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()

    def start(self, command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
        """Start a command, its output and errors in one pipe. Raises EndedError: `end_all` was called."""
        with self._lock:
            self.check()
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._live.add(process)
        return process

    def check(self) -> None:
        """Raise EndedError where `end_all` was called."""
        if self.ended.is_set():
            raise EndedError("the flow is being ended")

    def finish(self, process: subprocess.Popen[str]) -> None:
        """End what a process left behind in its group, and forget it."""
        end_groups([process])
        with self._lock:
            self._live.discard(process)

    def end_all(self) -> None:
        """End all processes and what they started, and start no more."""
        with self._lock:
            self.ended.set()
            live = list(self._live)
        end_groups(live)


def end_groups(leaders: Iterable[subprocess.Popen[str]]) -> None:
    """Interrupt process groups, kill those that are still there after a while, and reap their leaders."""
    for sent, seconds in ((signal.SIGINT, GRACE), (signal.SIGKILL, REAPING)):
        leaders = [leader for leader in leaders if _signal(leader, sent)]
        deadline = time.monotonic() + seconds
        while leaders and time.monotonic() < deadline:
            time.sleep(_POLL)
            leaders = [leader for leader in leaders if _signal(leader, 0)]


def _signal(leader: subprocess.Popen[str], number: int) -> bool:
    """Signal a group; False where nobody is left in it."""
    leader.poll()  # reaps it: a dead leader would count as a member
    try:
        os.killpg(leader.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


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
