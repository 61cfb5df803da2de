"""One process at a time, or some together and one alone."""

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ladd.errors import BusyError


@contextlib.contextmanager
def exclusive(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file ``path``, which names this process. The system frees it however the process ends. Raises
    BusyError: another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        file = _locked(path, what, stack)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _locked(path: Path, what: str, stack: contextlib.ExitStack) -> IO[str]:
    """The file that lies at ``path``, locked. One that was removed between opening and locking holds nobody off."""
    while True:
        file = stack.enter_context(path.open("a+"))
        if not any(_try(file, fcntl.LOCK_EX, pause) for pause in (0.2, 0.5, 0)):
            file.seek(0)
            holder = file.read().strip()
            raise BusyError(f"{what} is already running (process {holder}); wait for it or end it, then try again")
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        stack.close()


def _try(file: IO[str], kind: int, pause: float) -> bool:
    """Take a lock, or sleep: somebody may be looking whether it is held."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(pause)
        return False
    return True


def is_held(path: Path) -> bool:
    """Whether a process holds the lock file ``path``."""
    try:
        with path.open() as file:
            return not _try(file, fcntl.LOCK_SH, 0)
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def turn(path: Path, what: str, *, alone: bool) -> Iterator[None]:
    """Wait for the lock file ``path``, and hold it together with others or alone.

    Whoever waits goes before those who come later, so that a stream of others does not keep out the one that is to
    be alone. The system frees the lock however the process ends. A process must not wait for a turn within a turn.
    ``path``: of the lock; a second file beside it holds the place of whoever is next."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock, path.with_suffix(".next").open("a") as place:
        _wait(place, fcntl.LOCK_EX, f"{what} waits for its turn: others wait already")
        _wait(
            lock,
            fcntl.LOCK_EX if alone else fcntl.LOCK_SH,
            f"{what} waits for the other stages on this machine to end, to be timed alone"
            if alone
            else f"{what} waits for a stage that is timed, and runs alone",
        )
        fcntl.flock(place, fcntl.LOCK_UN)
        yield


def _wait(file: IO[str], kind: int, message: str) -> None:
    if not _try(file, kind, 0):
        logging.info(message)
        fcntl.flock(file, kind)
