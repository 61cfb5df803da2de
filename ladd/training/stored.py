"""Checkpoints in a store, for workers that share no folder: each trains in a folder of its own node."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import time
from collections.abc import Collection
from pathlib import Path

import torch

from ladd.distributed import rank
from ladd.errors import StoreError
from ladd.files import replace_folder
from ladd.lock import turn
from ladd.object_store import ObjectStore
from ladd.training.checkpoint import (
    AVERAGE,
    AVERAGE_SHARDS,
    DESCRIPTION,
    Checkpoint,
    checkpoint_folder,
    checkpoint_step,
    describe,
    load_checkpoint,
)
from ladd.training.executor import POLL, STOP, GroupContext
from ladd.training.sharded import all_hashes, has_shards, write_shards

logger = logging.getLogger(__name__)

_ROWS = "rows.json"  # all metrics that a training has reported, for the driver to file
_PAUSE = 1.0  # seconds between two looks for a request to end, and between two reports
_KEPT = (AVERAGE, AVERAGE_SHARDS, DESCRIPTION)  # how the names of files begin that a pruned checkpoint still has


class StoredCheckpoints:
    """The checkpoints of one training in a store, laid out as in a folder, and what its processes tell each other.

    A checkpoint is there when its description is: that names the other files, and comes last.

    Args:
        store: that all nodes reach.
        name: of the training: its folder in the store.
    """

    def __init__(self, store: ObjectStore, name: str):
        self.store, self.name = store, name

    def steps(self, *, whole: bool = False) -> list[int]:
        """Steps of the checkpoints, the newest first; ``whole``: only those that a training can go on from."""
        names = [name for name in self.store.names(self.name) if name.startswith("step-")]
        steps = [checkpoint_step(Path(name)) for name in reversed(names)]
        return [step for step in steps if self._is_there(step, whole=whole)]

    def _is_there(self, step: int, *, whole: bool) -> bool:
        names = self.store.names(self._place(step))
        return DESCRIPTION in names and not (whole and all(name.startswith(_KEPT) for name in names))

    def upload(self, path: Path) -> None:
        """Store a checkpoint of a folder; one of the same step makes room for it."""
        step = checkpoint_step(path)
        self.withdraw(step)
        for name in [*_files_of((path / DESCRIPTION).read_text()), DESCRIPTION]:
            if (path / name).exists():  # else it was pruned
                self.put(step, path, name)

    def withdraw(self, step: int) -> None:
        """From here on there is no checkpoint of this step."""
        self.store.remove(f"{self._place(step)}/{DESCRIPTION}")

    def put(self, step: int, folder: Path, name: str) -> None:
        """Store one file of a checkpoint."""
        self.store.put(folder / name, f"{self._place(step)}/{name}")

    def prune(self, kept: Collection[int], whole: int = 2) -> None:
        """As `ladd.training.checkpoint.prune_checkpoints` does in a folder."""
        for step in self.steps()[whole:]:
            place = self._place(step)
            if step not in kept:
                self.store.remove(f"{place}/{DESCRIPTION}")  # first: what has none is no checkpoint
                self.store.remove(place)
                continue
            for name in self.store.names(place):
                if not name.startswith(_KEPT):
                    self.store.remove(f"{place}/{name}")

    def download(self, step: int, folder: Path) -> Path:
        """Fetch a checkpoint into a folder, or what was kept of it; what is there already is not fetched again.
        Raises FileNotFoundError: it has been removed meanwhile."""
        place, target = self._place(step), checkpoint_folder(folder, step)
        description = self.store.text(f"{place}/{DESCRIPTION}")
        if description is None:
            raise FileNotFoundError(f"{place}/{DESCRIPTION}")
        named = _files_of(description)
        there = {name for name in named if self.store.size(f"{place}/{name}") is not None}
        if _description_of(target) == description:
            for name in named:
                if name not in there:
                    (target / name).unlink(missing_ok=True)
                elif not (target / name).exists():
                    self.store.get(f"{place}/{name}", target / name)
            return target
        partial = folder / f".fetched-{step:08d}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name in sorted(there):
            self.store.get(f"{place}/{name}", partial / name)
        (partial / DESCRIPTION).write_text(description)
        replace_folder(partial, target)
        return target

    def mirror(self, folder: Path) -> None:
        """Make a folder hold what the store does; a newer checkpoint of the folder stays."""
        steps = self.steps()
        for path in folder.glob("step-*"):
            if steps and checkpoint_step(path) < steps[0] and checkpoint_step(path) not in steps:
                shutil.rmtree(path)
        for step in steps:
            with contextlib.suppress(FileNotFoundError):  # pruned meanwhile
                self.download(step, folder)

    def ask_to_end(self) -> None:
        """Leave a request for the workers to save and end."""
        self.store.put_text(f"{self.name}/{STOP}", "")

    def forget_request(self) -> None:
        """Take the request back."""
        self.store.remove(f"{self.name}/{STOP}")

    def is_asked_to_end(self) -> bool:
        """Whether the workers are to save and end."""
        return self.store.size(f"{self.name}/{STOP}") is not None

    def put_rows(self, rows: list[dict[str, float]]) -> None:
        """Leave all rows of metrics so far for the driver."""
        self.store.put_text(f"{self.name}/{_ROWS}", json.dumps(rows))

    def rows(self) -> list[dict[str, float]]:
        """What `put_rows` left."""
        found = self.store.text(f"{self.name}/{_ROWS}")
        with contextlib.suppress(ValueError):  # a folder may show the beginning of a text
            return list(json.loads(found)) if found else []
        return []

    def remove(self) -> None:
        """Remove the training from the store."""
        self.store.remove(self.name)

    def _place(self, step: int) -> str:
        return f"{self.name}/{checkpoint_folder(Path(), step).name}"


def _files_of(description: str) -> list[str]:
    """Names of the files of a checkpoint besides its description."""
    try:
        return list(json.loads(description)["sha256"])
    except (ValueError, LookupError, TypeError):
        return []  # it is damaged, as its reader will find


def _description_of(path: Path) -> str | None:
    with contextlib.suppress(OSError):
        return (path / DESCRIPTION).read_text()
    return None


class StoredContext(GroupContext):
    """One of several workers that share a store; each has the checkpoints in a folder of its node.

    The first worker uploads what it saves, chooses the checkpoint that all go on from, and looks for requests to end.

    Args:
        folder: of this node; its workers share it.
        device: for messages.
        stored: checkpoints in the store.
    """

    def __init__(self, folder: Path, device: torch.device, stored: StoredCheckpoints):
        super().__init__(folder, device, self._keep_row)
        self.stored = stored
        self.rows: dict[float, dict[str, float]] = {}
        self.sent = self.looked = 0.0
        self.pending = False

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint of the store that all workers could read."""
        steps = self.stored.steps(whole=True) if rank() == 0 else []
        while step := int(self._sum(float(steps.pop(0) if steps else 0))):
            checkpoint = self._fetch(step)
            if not self._sum(float(checkpoint is None)):
                break
        for path in self.folder.glob("step-*"):  # saved in an earlier try, and not stored
            if checkpoint_step(path) > step:
                shutil.rmtree(path, ignore_errors=True)
        return checkpoint if step else None

    def _fetch(self, step: int) -> Checkpoint | None:
        path = checkpoint_folder(self.folder, step)
        try:
            with turn(self.folder / ".lock", "reading a checkpoint", alone=True):  # once per node
                path = self.stored.download(step, self.folder)
            return load_checkpoint(path)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("checkpoint %s is damaged (%s); using the one before", path, error)
            shutil.rmtree(path, ignore_errors=True)  # to be fetched anew
        return None

    def save(self, checkpoint: Checkpoint, kept: Collection[int]) -> None:
        super().save(checkpoint, kept)
        if rank() == 0:
            if not has_shards(checkpoint):
                self.stored.upload(checkpoint_folder(self.folder, checkpoint.step))
            self.stored.prune(kept)
            if self.pending:
                self._send_rows()
        self._sum(0.0)  # no worker goes on before the store has it

    def save_shards(self, checkpoint: Checkpoint, kept: Collection[int]) -> None:
        partial = self.folder / f".partial-{checkpoint.step:08d}-{rank()}"
        shutil.rmtree(partial, ignore_errors=True)
        own = write_shards(partial, checkpoint)
        if rank() == 0:
            self.stored.withdraw(checkpoint.step)
        hashes = all_hashes(own)  # which also holds the others until then
        for name in own:
            self.stored.put(checkpoint.step, partial, name)
        self._sum(0.0)
        if rank() == 0:
            describe(partial, checkpoint, hashes)
            self.stored.put(checkpoint.step, partial, DESCRIPTION)
        shutil.rmtree(partial)

    def _keep_row(self, row: dict[str, float]) -> None:
        self.rows[row["step"]] = row
        self.pending = rank() == 0
        if self.pending and time.monotonic() > self.sent + _PAUSE:
            self._send_rows()

    def _send_rows(self) -> None:
        self.sent, self.pending = time.monotonic(), False
        try:
            self.stored.put_rows(list(self.rows.values()))
        except StoreError as error:  # they are in the checkpoints too
            logger.warning("%s", error)

    def stopping(self, step: int) -> bool:
        return step % POLL == 0 and self._sum(float(rank() == 0 and self._is_asked())) > 0

    def _is_asked(self) -> bool:
        """On the first worker: a look at most once in a while, as it takes an answer of the store."""
        if time.monotonic() > self.looked + _PAUSE:
            self.looked = time.monotonic()
            try:
                return self.stored.is_asked_to_end()
            except StoreError as error:  # the next look may find it
                logger.warning("%s", error)
        return False
