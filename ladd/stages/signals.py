"""Signals that ask a training to end: Ctrl-C, a terminal that goes away, and SIGTERM before a machine is taken away."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from ladd.errors import PreemptedError

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class EndRequests:
    """Leave a request in a file when a signal comes inside, where the training loop of every worker finds it.

    A signal that is ignored on entry, as SIGHUP is under `nohup`, stays so. The second SIGINT raises
    KeyboardInterrupt."""

    def __init__(self, file: Path):
        self.file = file
        self.interrupts, self.trained = 0, False
        self.before: dict[int, Any] = {}

    def __enter__(self) -> EndRequests:
        self.file.unlink(missing_ok=True)
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self.before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def end_where_it_is(self) -> None:
        """From here on a request ends the stage where it is: all steps are done and saved. Raises PreemptedError:
        now, or when a signal comes."""
        self.trained = True
        if self.file.exists():
            raise _trained()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.interrupts += number == signal.SIGINT
        if self.interrupts > 1:
            raise KeyboardInterrupt
        self.file.touch()
        if self.trained:
            raise _trained()


def _trained() -> PreemptedError:
    return PreemptedError("training was asked to end: all steps are saved, the next run goes on with what comes after")
