"""Server processes: started with a log file, asked whether they answer, and ended with this process."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

HOST = "127.0.0.1"
PATIENCE = 300.0  # seconds for a start; a few are enough on a machine that is not busy
GRACE = 60.0  # seconds from SIGTERM to SIGKILL; a flow ends its stages first
_POLL = 0.1
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


class ServerError(Exception):
    """A server did not start, or ended by itself."""


class Server:
    """A server process."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path):
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C comes to this process alone, which ends them in order
                preexec_fn=_end_with_parent,
            )

    def check(self) -> None:
        """Raise ServerError with the last lines of the log if the process has ended."""
        if (code := self.process.poll()) is not None:
            tail = "\n".join(f"  {line}" for line in self.log.read_text(errors="replace").splitlines()[-15:])
            raise ServerError(f"{self.name} ended with exit code {code}; the end of {self.log}:\n{tail}")

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until the server is ready. Raises ServerError: it ended, or patience did."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not answer after {PATIENCE:.0f} s; see {self.log}")
            time.sleep(_POLL)

    def listens(self, port: int) -> bool:
        """Whether the process, or one that it started, has the port: whoever else answers there gets no password."""
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            return any(
                each.status == psutil.CONN_LISTEN and each.laddr.port == port
                for process in (own, *own.children(recursive=True))
                for each in process.net_connections("inet")
            )
        return False

    def stop(self) -> None:
        """End the process, and what is left of its group."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _end_with_parent() -> None:
    """In the child: be ended when this process dies, even by SIGKILL (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


def answers(address: str) -> bool:
    """Whether a server says it is well."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_port(preferred: int) -> int:
    """The preferred port of this machine, or any other where that is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise ServerError(f"{HOST} has no free port")
