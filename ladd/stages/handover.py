"""Training on workers, with a folder in common or without: then inputs and checkpoints go through a store.

In the store (`ladd.object_store`) an input lies under its SHA-256, so that it is sent once, and a training under the
name and the fingerprint of its stage. A node keeps what it fetched in ``LADD_NODE_FOLDER``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import TracebackType

from ladd.cluster import Workers, train_on_workers
from ladd.errors import ClusterError, LaddError, StoreError
from ladd.files import file_hash
from ladd.lock import turn
from ladd.object_store import VARIABLE, ObjectStore, store_asked
from ladd.stages.manifest import remembered
from ladd.stages.runtime import Stage
from ladd.tracking import TrackedRun
from ladd.training.checkpoint import checkpoint_step, latest_step
from ladd.training.executor import STOP
from ladd.training.loop import Trainer
from ladd.training.pace import publish_pace
from ladd.training.stored import StoredCheckpoints, StoredContext

logger = logging.getLogger(__name__)

NODE_FOLDER = "LADD_NODE_FOLDER"
_FILES = "files"  # folder of inputs, in the store and on a node
_TRAININGS = "trainings"
_AT_A_TIME = 8  # files that are on their way
_LOOK, _FETCH = 0.5, 3.0  # seconds between two looks for a request to end, and for what workers have stored


def train_together(stage: Stage, train: Callable[[Stage], None], workers: Workers, run: TrackedRun) -> None:
    """Train on workers up to the last checkpoint, which is then in the folder of the stage.

    Args:
        stage: the running stage, which is the driver.
        train: what a worker calls that shares the folder of the suite with the driver.
        run: gets the metrics of workers that share no folder: they need not reach MLflow.
    Raises:
        StoreError: the store does not answer, or does not let itself be written to.
    """
    store = store_asked()
    if store is None:
        train_on_workers(train, (stage,), workers, lambda: latest_step(stage.work))
        return
    store.check()
    stored = _stored(stage, store)
    inputs = offer(store, [*stage.declaration.dependencies, *_of_suite(Path())])
    with _Follower(stage.work, stored, run) as follower:
        train_on_workers(_train_on_node, (stage, stored, inputs), workers, follower.step, store)


def forget_training(stage: Stage) -> None:
    """Remove the checkpoints of a stage from the store, if there is one: its outputs are written."""
    if (store := store_asked()) is not None:
        try:
            _stored(stage, store).remove()
        except LaddError as error:
            logger.warning("the checkpoints of %s stay in the store: %s", stage.declaration.name, error)


def _stored(stage: Stage, store: ObjectStore) -> StoredCheckpoints:
    return StoredCheckpoints(store, f"{_TRAININGS}/{_place(stage)}")


def _place(stage: Stage) -> str:
    return f"{stage.declaration.name}/{stage.fingerprint[:16]}"


def _of_suite(folder: Path) -> list[Path]:
    """Settings and modules of the suite, where systems of its own are found."""
    return [folder / "params.yaml", *sorted(folder.glob("[!_.]*.py"))]


def offer(store: ObjectStore, paths: Iterable[Path]) -> dict[str, str]:
    """Store files, and all files of folders, that the store does not have yet.

    Args:
        paths: relative to the working directory.
    Returns:
        SHA-256 of every file, by its path.
    """
    found = [each for path in paths for each in ([path] if path.is_file() else sorted(path.rglob("*")))]
    with remembered() as hashes:  # the stage has held inputs against their manifests, so large ones are not read again
        listing = {path.as_posix(): hashes(path).sha256 for path in found if path.is_file()}

    def send(entry: tuple[str, str]) -> None:
        path, digest = Path(entry[0]), entry[1]
        if store.size(f"{_FILES}/{digest}") != path.stat().st_size:
            store.put(path, f"{_FILES}/{digest}")

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        list(pool.map(send, listing.items()))
    return listing


def take(store: ObjectStore, listing: Mapping[str, str], folder: Path, node: Path) -> None:
    """Put the files of `offer` into a folder, as links to those that the node keeps; each is fetched once per node.

    Args:
        listing: of `offer`.
        folder: gets the files under their paths.
        node: what its workers have in common, on the same disk as the folder.
    Raises:
        StoreError: a file is not there, or is another one.
    """
    kept = node / _FILES
    kept.mkdir(parents=True, exist_ok=True)

    def fetch(digest: str) -> None:
        if (kept / digest).exists():
            return
        fetched, name = kept / f".{digest}", f"{_FILES}/{digest}"
        with contextlib.suppress(FileNotFoundError):
            store.get(name, fetched)
            if file_hash(fetched) == digest:
                os.replace(fetched, kept / digest)
                return
            fetched.unlink()
        raise StoreError(f"{VARIABLE} is {store.url}: {name} is damaged or gone; remove it, and run the stage again")

    with turn(kept / ".lock", "fetching inputs", alone=True), ThreadPoolExecutor(_AT_A_TIME) as pool:
        list(pool.map(fetch, set(listing.values())))
        for path, digest in listing.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                os.link(kept / digest, folder / path)


def node_folder() -> Path:
    """Where the workers of a node keep inputs and checkpoints: ``LADD_NODE_FOLDER`` of the node's own environment,
    or a folder for temporary files. Raises ClusterError: it is another user's."""
    folder = Path(os.environ.get(NODE_FOLDER) or Path(tempfile.gettempdir()) / f"ladd-{os.getuid()}").absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise ClusterError(f"{folder} is another user's; set {NODE_FOLDER} to a folder of yours on every node")
    return folder


def _train_on_node(stage: Stage, stored: StoredCheckpoints, inputs: Mapping[str, str]) -> None:
    """On a worker: fetch what the training reads, and train to the last checkpoint in a folder of this node."""
    before, node = Path.cwd(), node_folder()
    folder = node / _TRAININGS / _place(stage)
    take(stored.store, inputs, folder, node)
    os.chdir(folder)
    stage.work.mkdir(parents=True, exist_ok=True)
    training = import_module(f"ladd.stages.{stage.declaration.name.partition('@')[0]}").training(stage)
    device = next(training.task.model.parameters()).device
    context = StoredContext(stage.work.absolute(), device, stored)
    trainer = Trainer(training.task, training.config, context, seed=stage.seed)
    publish_pace(trainer)
    trainer.train()
    os.chdir(before)
    shutil.rmtree(folder, ignore_errors=True)  # inputs stay among the files of the node


class _Follower:
    """Brings what workers store to the driver while they train, and requests to end to them.

    Args:
        work: folder of the stage's resume state.
        stored: checkpoints of the workers.
        run: gets their metrics.
    """

    def __init__(self, work: Path, stored: StoredCheckpoints, run: TrackedRun):
        self.work, self.stored, self.run = work, stored, run
        self._ended, self._asked, self._warned = threading.Event(), False, False
        self._step = 0
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def __enter__(self) -> _Follower:
        self.stored.forget_request()
        there = self.stored.steps()
        if latest_step(self.work) > max(there, default=0):  # trained before without the store, or while it was away
            for path in sorted(self.work.glob("step-*")):
                if checkpoint_step(path) not in there:
                    self.stored.upload(path)
        self.stored.mirror(self.work)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        with contextlib.suppress(*([] if kind is None else [StoreError, OSError])):  # the store keeps it
            self._fetch()

    def step(self) -> int:
        """Of the newest checkpoint that is known: the store may be away for a while."""
        with contextlib.suppress(StoreError):
            self._step = max(self.stored.steps(), default=0)
        return self._step

    def _follow(self) -> None:
        fetched = 0.0
        while not self._ended.wait(_LOOK):
            try:
                if not self._asked and (self.work / STOP).exists():
                    self.stored.ask_to_end()
                    self._asked = True
                if time.monotonic() > fetched + _FETCH:
                    self._fetch()
                    fetched = time.monotonic()
            except (StoreError, OSError) as error:  # tried again, and at the end not in this thread
                if not self._warned:
                    logger.warning("%s", error)
                self._warned = True

    def _fetch(self) -> None:
        for row in self.stored.rows():
            self.run.log_row(row)
        self.stored.mirror(self.work)
