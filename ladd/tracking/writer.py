"""Metric points on their way into a run: each is filed once, by one process at a time, in a thread that tries again."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial

from mlflow import MlflowClient
from mlflow.entities import Metric, RunTag

from ladd.errors import TrackingError
from ladd.tracking.store import milliseconds

WRITER = "ladd.writer"  # tag of a run
SETTLE = 10.0  # seconds; what a process was sending when it lost the right has arrived, or failed, by then
_PATIENCE = 60.0  # seconds for another process that ends at the same time
_POLL = 0.5
_ENOUGH = 20  # points to send at a time
_MOST = 1000  # that MLflow takes at once
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)  # seconds between failed tries; the last one repeats


class Writer:
    """The right of this process to file points into a run; it goes to whoever claims it last.

    MLflow adds points without a look at those that are there. So a process claims the right in a tag of the run,
    reads what is there, and looks before each request whether the right is still its own. One that has lost it keeps
    its points until its end, and claims it again. A claim takes effect at once where nobody has the right, and after
    ``SETTLE`` seconds where a living process had it, as that may be between its look and the end of its request.
    ``claims``: how often this process has claimed the right; what others filed before must be read again after each.
    ``lost``: whether another process has claimed it since."""

    def __init__(self) -> None:
        self.claims, self.lost = 0, False
        self._had = False  # at some time
        self._name = f"{this_process()} {uuid.uuid4().hex[:8]}"
        self._settled = 0.0

    @property
    def settling(self) -> bool:
        """Whether a claim has still to take effect."""
        return time.monotonic() < self._settled

    def try_to_hold(self, client: MlflowClient, run_id: str) -> bool:
        """Whether this process has the right; it is claimed once, and then not taken back from who claims it later."""
        holder = self._holder(client, run_id)
        if holder != self._name:
            if holder and self._had:
                self.lost = True
                return False
            self._claim(client, run_id, holder)
            holder = self._holder(client, run_id)
        return holder == self._name and not self.settling

    def hold(self, client: MlflowClient, run_id: str) -> None:
        """Get the right, also from those who claimed it later: for the end of a process, which must file what it
        has. Raises TrackingError: another process does the same, and does not end."""
        claimed, deadline = False, time.monotonic() + SETTLE + _PATIENCE
        while (holder := self._holder(client, run_id)) != self._name or self.settling:
            if holder == self._name:
                time.sleep(max(0.0, self._settled - time.monotonic()))
            elif holder and claimed:  # by one that is at its end too: it goes first
                if time.monotonic() > deadline:
                    raise TrackingError(f"process {holder} files points into run {run_id} as well, and does not end")
                time.sleep(_POLL)
            else:
                self._claim(client, run_id, holder)
                claimed = True

    def release(self, client: MlflowClient, run_id: str) -> None:
        """Leave the right to the next process that claims it, without delay."""
        if self._had and not self.lost:
            _set_holder(client, run_id, "")

    def _holder(self, client: MlflowClient, run_id: str) -> str:
        holder = client.get_run(run_id).data.tags.get(WRITER, "")
        if holder == self._name:
            self._had, self.lost = True, False
        return holder

    def _claim(self, client: MlflowClient, run_id: str, holder: str) -> None:
        self.claims += 1  # before the request, whose answer may be lost
        self._settled = time.monotonic() + SETTLE if holder and not has_ended(holder) else 0.0
        _set_holder(client, run_id, self._name)


def this_process() -> str:
    """Host and number of this process."""
    return f"{socket.gethostname()} {os.getpid()}"


def has_ended(process: str) -> bool:
    """Whether a process, as `this_process` names it, is known to have ended; of other hosts nothing is known."""
    host, number = [*process.split(), "", ""][:2]
    if host != socket.gethostname() or not number.isdecimal() or len(number) > 9:
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # of another user
        return False
    return False


def _set_holder(client: MlflowClient, run_id: str, name: str) -> None:
    client.log_batch(run_id, tags=[RunTag(WRITER, name)])


class Points:
    """Points that wait to be sent. They are added in one thread, and may be sent in another."""

    def __init__(self) -> None:
        self.writer = Writer()
        self._lock = threading.Lock()
        self._waiting: list[Metric] = []
        self._added: set[tuple[str, int]] = set()  # key and step of all that this process added
        self._there: set[tuple[str, int]] = set()  # of all that the run has
        self._claim_read = 0  # the claim of the writer after which they were read; 0: they must be read

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def due(self) -> bool:
        return len(self) >= _ENOUGH and not self.writer.lost and not self.writer.settling

    def add(self, key: str, value: float, step: int) -> None:
        """Add a point, unless the curve had one at this step from this process before."""
        if (key, step) not in self._added:
            self._added.add((key, step))
            with self._lock:
                self._waiting.append(Metric(key, value, milliseconds(), step))

    def send(self, client: MlflowClient, run_id: str, *, all_of_them: bool = False) -> None:
        """Send points that the run does not have. ``all_of_them``: also those that had been left to another process,
        which may take a moment."""
        while self._waiting:
            if all_of_them:
                self.writer.hold(client, run_id)
            elif not self.writer.try_to_hold(client, run_id):
                return
            self._send_some(client, run_id)

    def _send_some(self, client: MlflowClient, run_id: str) -> None:
        claim = self.writer.claims
        if self._claim_read != claim:
            self._there = _steps(client, run_id)
        with self._lock:
            batch = self._waiting[:_MOST]
        self._claim_read = 0  # where the answer to the request is lost, its points may be there
        client.log_batch(run_id, metrics=[point for point in batch if (point.key, point.step) not in self._there])
        self._there |= {(point.key, point.step) for point in batch}
        self._claim_read = claim
        with self._lock:
            del self._waiting[: len(batch)]


def _steps(client: MlflowClient, run_id: str) -> set[tuple[str, int]]:
    """Key and step of all points of a run."""
    keys = client.get_run(run_id).data.metrics
    return {(key, point.step) for key in keys for point in client.get_metric_history(run_id, key)}


class Background:
    """A thread that does what it is asked to, and after a failure tries again by itself. ``work``: one piece of it,
    in the thread; returns whether there is more. ``report``: called in the thread with the error when tries begin to
    fail, and with None when they succeed again."""

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
        ``patience``: seconds for each piece of the work."""
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
        try:
            while self._work():
                with self._changed:
                    self._pieces += 1
                    self._changed.notify_all()
        except Exception as error:  # of MLflow or of what it stands on; whoever waits gets it
            return error
        return None
