"""Work that is tried again until it succeeds, in a thread: nobody waits for it but those who ask to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds between failed tries; the last one repeats


class Background:
    """A thread that does what it is asked to, and after a failure tries again by itself.

    Args:
        work: one piece of it, in the thread; returns whether there is more.
        report: called in the thread with the error when tries begin to fail, and with None when they succeed again.
    """

    def __init__(
        self, work: Callable[[], bool], report: Callable[[Exception | None], None], pauses: Sequence[float] = PAUSES
    ):
        self._work, self._report, self._pauses = work, report, pauses
        self._changed = threading.Condition()
        self._asked = self._tried = 0  # numbers of the newest request, and of the newest that a try was for
        self._pieces = 0  # of work that were done
        self._hurried = self._ended = False
        self._error: Exception | None = None  # of the last try
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """There is work; this returns at once."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()

    def wait(self, patience: float) -> Exception | None:
        """Wait for a try that begins after this call, and return the error that it ended with, if it did.

        Args:
            patience: seconds for each piece of the work.
        """
        with self._changed:
            self._asked += 1
            number, self._hurried = self._asked, True
            self._changed.notify_all()
            while self._tried < number:
                if not self._changed.wait_for(partial(self._moved, number, self._pieces), patience):
                    return TimeoutError(f"no answer within {patience:g} s")
            return self._error

    def end(self) -> None:
        """Try nothing again; a try that is being made is not waited for."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _moved(self, number: int, pieces: int) -> bool:
        return self._tried >= number or self._pieces > pieces

    def _run(self) -> None:
        failures = 0
        while (number := self._next(failures)) is not None:
            error = self._try()
            if (error is None) != (failures == 0):
                self._report(error)
            failures = 0 if error is None else failures + 1
            with self._changed:
                self._tried, self._error = number, error
                self._changed.notify_all()

    def _next(self, failures: int) -> int | None:
        """The newest request, when it is time to try; None at the end."""
        with self._changed:
            if failures:
                pause = self._pauses[min(failures, len(self._pauses)) - 1]
                self._changed.wait_for(lambda: self._hurried or self._ended, pause)
            else:
                self._changed.wait_for(lambda: self._asked > self._tried or self._ended)
            self._hurried = False
            return None if self._ended else self._asked

    def _try(self) -> Exception | None:
        """Do all that there is to do."""
        try:
            while self._work():
                with self._changed:
                    self._pieces += 1
                    self._changed.notify_all()
        except Exception as error:  # of MLflow or of what it stands on; whoever waits gets it
            return error
        return None
