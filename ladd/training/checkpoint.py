"""Checkpoints: a folder of safetensors, optimiser state and a readable JSON, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ladd.errors import CheckpointError
from ladd.files import file_hash, replace_folder, save_tensors

logger = logging.getLogger(__name__)

DESCRIPTION = "checkpoint.json"
_CHECKSUM = "checksum"  # in it: SHA-256 of all else that it holds
AVERAGE = "average.safetensors"
MODEL = "model.safetensors"
OPTIMISER = "optimiser.pt"
STATE_SHARDS, AVERAGE_SHARDS = "state", "average"  # folders in the place of the files (`ladd.training.sharded`)


@dataclass
class Checkpoint:
    """State of a training run after ``step`` steps.

    Random numbers and the data position are functions of (seed, step): there is no other state.
    """

    step: int
    model: dict[str, Tensor]  # parameters and buffers, the quantiser's included
    average: dict[str, Tensor]  # weights that are evaluated and kept
    average_updates: int
    optimiser: list[dict[str, Any]]
    history: list[dict[str, float]] = field(default_factory=list)  # metric rows so far
    recent: list[dict[str, float]] = field(default_factory=list)  # losses of the steps since the last row
    run_id: str = ""  # of the tracked run
    shards: Path | None = None  # where the state is, if it is not whole and not read yet


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write ``folder/step-NNNNNNNN``: first beside it, then one rename, so that a kill leaves no half checkpoint.

    Raises:
        CheckpointError: it cannot be written, for example to a full disk; what there was before is as it was.
    """
    target, partial = checkpoint_folder(folder, checkpoint.step), partial_folder(folder, checkpoint.step)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        _write(partial, checkpoint)
    except (OSError, SafetensorError, RuntimeError) as error:  # torch and safetensors have errors of their own
        shutil.rmtree(partial, ignore_errors=True)
        raise CheckpointError(
            f"the checkpoint of step {checkpoint.step} could not be written to {folder} ({error}); free some space and "
            "run the stage again: it goes on from the checkpoint before"
        ) from error
    replace_folder(partial, target)
    return target


def _write(folder: Path, checkpoint: Checkpoint) -> None:
    save_tensors(folder / MODEL, checkpoint.model)
    save_tensors(folder / AVERAGE, checkpoint.average)
    torch.save(checkpoint.optimiser, folder / OPTIMISER)
    describe(folder, checkpoint, {name: file_hash(folder / name) for name in (MODEL, AVERAGE, OPTIMISER)})


def describe(folder: Path, checkpoint: Checkpoint, hashes: Mapping[str, str]) -> None:
    """Write the JSON of a checkpoint, given the SHA-256 of its files by name."""
    description = {
        "step": checkpoint.step,
        "run_id": checkpoint.run_id,
        "average_updates": checkpoint.average_updates,
        "sha256": hashes,
        "history": checkpoint.history,
        "recent": checkpoint.recent,
    }
    (folder / DESCRIPTION).write_text(json.dumps(description | {_CHECKSUM: _checksum(description)}, indent=1))


def _read(path: Path) -> dict[str, Any]:
    """A description as it was written.

    Raises:
        ValueError: it is another one, or none.
    """
    description = json.loads(path.read_text())
    if not isinstance(description, dict) or description.pop(_CHECKSUM, None) != _checksum(description):
        raise ValueError(f"{path.name} is not what was written")
    return description


def _checksum(description: dict[str, Any]) -> str:
    """Of the values, however they are laid out: JSON gives every number back as it was."""
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()


def load_latest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint whose files are what its JSON says; damaged ones are named in a warning and passed over."""
    for path in sorted(folder.glob("step-*"), reverse=True):
        if not (path / OPTIMISER).exists():
            continue  # pruned: only its average was kept
        try:
            return load_checkpoint(path)
        except (OSError, ValueError, KeyError) as error:
            logger.warning("checkpoint %s is damaged (%s); using the one before", path, error)
    return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        ValueError: a file's hash differs from the JSON, or the JSON is not what was written.
        OSError: a file is missing.
    """
    description = _read(path / DESCRIPTION)
    for name, expected in description["sha256"].items():
        if (found := file_hash(path / name)) != expected:
            raise ValueError(f"{name} has sha256 {found[:12]}, expected {expected[:12]}")
    whole = MODEL in description["sha256"]
    return Checkpoint(
        step=description["step"],
        model=load_file(path / MODEL) if whole else {},
        average=load_file(path / AVERAGE) if whole else {},
        average_updates=description["average_updates"],
        optimiser=torch.load(path / OPTIMISER, weights_only=True) if whole else [],
        history=description["history"],
        recent=description["recent"],
        run_id=description["run_id"],
        shards=None if whole else path,
    )


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step:08d}"


def partial_folder(folder: Path, step: int) -> Path:
    """Where it is written."""
    return folder / f".partial-{step:08d}"


def checkpoint_step(path: Path) -> int:
    """The step of the checkpoint in a folder."""
    return int(path.name.removeprefix("step-"))


def latest_step(folder: Path) -> int:
    """The step of the newest checkpoint, whole or not; 0 where there is none."""
    return max((checkpoint_step(path) for path in folder.glob("step-*")), default=0)


def prune_checkpoints(folder: Path, kept: Collection[int], whole: int = 2) -> None:
    """Keep the last ``whole`` checkpoints whole, and of older ones only the averaged weights of the steps ``kept``."""
    for path in sorted(folder.glob("step-*"))[:-whole]:
        if checkpoint_step(path) not in kept:
            shutil.rmtree(path)
            continue
        for name in (OPTIMISER, MODEL):
            (path / name).unlink(missing_ok=True)
        shutil.rmtree(path / STATE_SHARDS, ignore_errors=True)
