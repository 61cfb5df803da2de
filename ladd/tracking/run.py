"""The run of one stage."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Param, Run

from ladd.errors import PreemptedError, TrackingError
from ladd.git import git_tags
from ladd.tracking.checkpoints import register_checkpoints
from ladd.tracking.experiment import PARENT_ID, PROCESS, Experiment, set_tags
from ladd.tracking.store import address, answering, has_server, is_refusal, reason, store_lock, tracking_uri
from ladd.tracking.view import origin_tags
from ladd.tracking.writer import Background, Points, this_process

log = logging.getLogger(__name__)
_PATIENCE = 60.0  # seconds for a piece of work at the end of a stage, from a server that answers
_SHORT = 10.0  # the same at its start, and where it ends with an error


class TrackedRun:
    """The MLflow run of one stage.

    What is to be filed on a server goes there in a thread: where the server does not answer it is kept and tried
    again, and nothing waits for it but, for the time of one try, the end of the run. Into a file it goes at once.
    Raises TrackingError: the server refuses to open the run; or it does not answer, where that is an error.
    ``strict``: a server that does not answer is an error, at once. ``run_id``: "" as long as no server has answered."""

    client: MlflowClient
    experiment_id: str

    def __init__(
        self,
        root: Path,
        *,
        suite: str,
        name: str,
        fingerprint: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, Any],
        strict: bool = False,
    ):
        self.run_id, self._name, self._uri = "", name, tracking_uri(root)
        self._points = Points()
        self._jobs: deque[Callable[[], object]] = deque()
        self._lock = threading.Lock()  # of the jobs
        self._background = Background(self._work, self._report) if has_server(self._uri) and not strict else None
        known = {key: str(value) for key, value in tags.items() if value is not None}
        known |= git_tags(root) | {"ladd.fingerprint": fingerprint}
        known = origin_tags(known.get("dvc.stage", ""), known.get("git.commit", "")) | known
        self._do(partial(self._open, root, suite, known, parameters))
        if self._background is not None and (error := self._background.wait(_SHORT)) and is_refusal(error):
            self._background.end()
            raise TrackingError(f"{address(self._uri)} refuses the run of {name}: {reason(error)}") from error

    def _open(self, root: Path, suite: str, tags: Mapping[str, str], parameters: Mapping[str, Any]) -> None:
        """Find the run, or make it. One that is there goes on; a killed process may have left it without parameters."""
        experiment = Experiment(root, suite)
        self.client, self.experiment_id = experiment.client, experiment.id
        launched = {PARENT_ID: experiment.parent_id, PROCESS: this_process()} | flow_tags()
        with store_lock(root):  # two work trees that run the same stage share its run
            run: Run = experiment.find_or_create(tags["ladd.fingerprint"], self._name, {**tags, **launched})
        flat = [Param(key, str(value)) for key, value in parameters.items() if key not in run.data.params]
        self.client.log_batch(run.info.run_id, params=flat)
        self.client.update_run(run.info.run_id, status="RUNNING")
        set_tags(self.client, run.info.run_id, launched)
        self.run_id = run.info.run_id

    def __enter__(self) -> TrackedRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(partial(self._end, _status(kind)))
        if self._background is not None:
            self._wait(_PATIENCE if kind is None else _SHORT)
            self._background.end()

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to each metric's curve, unless the curve has one at this step."""
        for key, value in values.items():
            self._points.add(key, value, step)
        if self._points.due:
            self._do(self._send)

    def log_row(self, row: Mapping[str, float]) -> None:
        """Log a row of the training history, whose "step" is its step."""
        self.log({key: value for key, value in row.items() if key != "step"}, int(row["step"]))

    def flush(self) -> None:
        """Send what is buffered, and wait for it as at the end of the run."""
        self._do(self._send_all)
        if self._background is not None:
            self._wait(_PATIENCE)

    def tag(self, tags: Mapping[str, Any]) -> None:
        self._do(lambda: set_tags(self.client, self.run_id, tags))

    def attach(self, name: str, text: str) -> None:
        """Keep a text file with the run, unless the run has one of that name."""
        self._do(partial(self._attach, name, text))

    def log_checkpoints(self, checkpoints: Iterable[Mapping[str, Any]]) -> None:
        """Register checkpoints as models of this run, by reference: their bytes stay in the DVC output.
        ``checkpoints``: each with "name", "path", "sha256", "step" and "metrics"."""
        self._do(partial(self._register, list(checkpoints)))

    def _send(self) -> None:
        self._points.send(self.client, self.run_id)

    def _send_all(self) -> None:
        self._points.send(self.client, self.run_id, all_of_them=True)
        self._points.writer.release(self.client, self.run_id)

    def _attach(self, name: str, text: str) -> None:
        if name not in {kept.path for kept in self.client.list_artifacts(self.run_id)}:
            self.client.log_text(self.run_id, text, name)

    def _register(self, checkpoints: list[Mapping[str, Any]]) -> None:
        self._points.writer.hold(self.client, self.run_id)  # two processes would make two models of one name
        register_checkpoints(self.client, self.experiment_id, self.run_id, checkpoints)
        self._points.writer.release(self.client, self.run_id)

    def _end(self, status: str) -> None:
        self._send_all()
        self.client.set_terminated(self.run_id, status=status)

    def _do(self, job: Callable[[], object]) -> None:
        """Do what may be done again, now or in the thread, after all that came before."""
        if self._background is None:
            with answering(self._uri):
                job()
            return
        with self._lock:
            if not (self._jobs and self._jobs[-1] == job):  # the same waits already
                self._jobs.append(job)
        self._background.ask()

    def _work(self) -> bool:
        """In the thread: one job, which stays the next one where it fails."""
        with self._lock:
            if not self._jobs:
                return False
            job = self._jobs.popleft()
        try:
            job()
        except BaseException:
            with self._lock:
                self._jobs.appendleft(job)
            raise
        return True

    def _wait(self, patience: float) -> None:
        """Wait for the thread; where the server does not answer, say what becomes of what was not filed."""
        assert self._background is not None
        if (error := self._background.wait(patience)) is not None:
            named = self._name, address(self._uri), reason(error), len(self._points)
            log.warning(
                "%s: not all of its run could be filed on %s (%s), %d points among it; when the server answers, "
                "`ladd track sync` files it, or the stage itself where it goes on",
                *named,
            )

    def _report(self, error: Exception | None) -> None:
        """In the thread: once when the server goes away, and once when it is back."""
        if error is None:
            log.info("%s: %s answers again", self._name, address(self._uri))
            return
        log.warning(
            "%s: %s does not take what is to be filed (%s); it is kept and tried again, and nothing waits for it",
            *(self._name, address(self._uri), reason(error)),
        )


def _status(error: type[BaseException] | None) -> str:
    """How a run ended, by the error that ended it: who is asked to end, by Ctrl-C or by a scheduler, has not failed."""
    if error is None:
        return "FINISHED"
    return "KILLED" if issubclass(error, KeyboardInterrupt | PreemptedError) else "FAILED"


def flow_tags() -> dict[str, str]:
    """The Prefect flow run that launched this process, if one did."""
    flow = os.environ.get("LADD_FLOW_RUN_ID") or os.environ.get("PREFECT__FLOW_RUN_ID")
    return {"prefect.flow_run_id": flow} if flow else {}


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
