"""Checkpoints in shards: each worker writes and reads its own, so that none holds the whole state (FSDP2).

``torch.distributed.checkpoint`` lays them out: any number of workers, one among them, reads what another wrote. Its
index is a pickle; it is read when its hash is that of the description, as a file of one's own training.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ladd.distributed import rank
from ladd.errors import CheckpointError
from ladd.files import file_hash
from ladd.training.checkpoint import AVERAGE_SHARDS, OPTIMISER, STATE_SHARDS, Checkpoint
from ladd.training.replica import is_shard

if TYPE_CHECKING:
    from ladd.training.optimiser import Optimiser

_INDEX = ".metadata"


def has_shards(checkpoint: Checkpoint) -> bool:
    """Whether the state of a checkpoint is spread over workers."""
    return any(is_shard(value) for value in tree_leaves((checkpoint.model, checkpoint.average)))


def write_shards(folder: Path, checkpoint: Checkpoint) -> dict[str, str]:
    """Write this worker's part; all workers must call it, into folders of their own or in common.

    Args:
        folder: where no earlier checkpoint is.
        checkpoint: its tensors may be shards; what is whole is written once.
    Returns:
        SHA-256 of the files that this worker wrote, by name.
    Raises:
        CheckpointError: a worker could not write.
    """
    from torch.distributed.checkpoint import FileSystemWriter, save
    from torch.distributed.checkpoint.api import CheckpointException

    tensors, rest = _split(checkpoint.optimiser)
    parts = {
        STATE_SHARDS: {f"model/{name}": value for name, value in checkpoint.model.items()} | tensors,
        AVERAGE_SHARDS: checkpoint.average,
    }
    try:
        for name, state in parts.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            save(dict(state), storage_writer=FileSystemWriter(folder / name))
        if rank() == 0:
            torch.save(rest, folder / OPTIMISER)
    except (OSError, RuntimeError, CheckpointException) as error:
        raise CheckpointError(
            f"the checkpoint of step {checkpoint.step} could not be written to {folder} ({error}); free some space and "
            "run the stage again: it goes on from the checkpoint before"
        ) from error
    own = [f"{name}/__{rank()}_0.distcp" for name in parts]
    if rank() == 0:
        own += [OPTIMISER, *(f"{name}/{_INDEX}" for name in parts)]
    return {name: file_hash(folder / name) for name in own if (folder / name).exists()}


def all_hashes(own: dict[str, str]) -> dict[str, str]:
    """Those of the files of all workers, which all must ask for."""
    found: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(found, own)
    return {name: digest for part in found for name, digest in sorted(part.items())}


def read_shards(checkpoint: Checkpoint, model: nn.Module, average: nn.Module, optimiser: Optimiser) -> None:
    """Fill in the state of a checkpoint that lies in shards, cut as this worker's models are; all workers call it.

    Args:
        checkpoint: as it was found; nothing happens where it is whole.
        model, average: get the weights at once.
        optimiser: its parameters say how moments are cut.
    """
    if checkpoint.shards is None:
        return
    from torch.distributed.checkpoint import FileSystemReader

    rest = torch.load(checkpoint.shards / OPTIMISER, weights_only=True)
    reader = FileSystemReader(checkpoint.shards / STATE_SHARDS)
    shapes = reader.read_metadata().state_dict_metadata
    moments = _moments(shapes, [_parameters(part) for part in optimiser.parts])
    checkpoint.model, checkpoint.average = dict(model.state_dict()), dict(average.state_dict())
    _load({f"model/{name}": value for name, value in checkpoint.model.items()} | moments, reader)
    _load(checkpoint.average, FileSystemReader(checkpoint.shards / AVERAGE_SHARDS))
    checkpoint.optimiser = _joined(moments, rest)


def read_average(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint in shards, whole."""
    from torch.distributed.checkpoint import FileSystemReader

    reader = FileSystemReader(path / AVERAGE_SHARDS)
    found: dict[str, Any] = reader.read_metadata().state_dict_metadata
    state: Any = {name: torch.empty(each.size, dtype=each.properties.dtype) for name, each in found.items()}
    _load(state, reader)
    return dict(state)


def _load(state: dict[str, Tensor], reader: Any) -> None:
    from torch.distributed.checkpoint import load
    from torch.distributed.checkpoint.api import CheckpointException

    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")  # one process is a group of its own
            load(state, storage_reader=reader)
    except CheckpointException as error:  # no Exception of its own accord
        raise CheckpointError(f"{reader.path} does not hold this model's state: {error}") from error


def _parameters(part: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in part.param_groups for p in group["params"]]


def _split(states: Iterable[dict[str, Any]]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """The tensors of the states of optimisers by a name, and the rest, which is small."""
    tensors: dict[str, Tensor] = {}
    rest: list[dict[str, Any]] = []
    for number, state in enumerate(states):
        for index, values in state["state"].items():
            tensors |= {f"optimiser/{number}/{index}/{name}": value for name, value in values.items()}
        rest.append({key: value for key, value in state.items() if key != "state"})
    return tensors, rest


def _joined(tensors: dict[str, Tensor], rest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reverse of `_split`."""
    states: list[dict[str, Any]] = [each | {"state": {}} for each in rest]
    for key, value in tensors.items():
        _, number, index, name = key.split("/", 3)
        states[int(number)]["state"].setdefault(int(index), {})[name] = value
    return states


def _moments(shapes: dict[str, Any], parameters: list[list[Tensor]]) -> dict[str, Tensor]:
    """Room for the tensors of optimisers: those of a parameter's shape are cut as it is."""
    room = {}
    for key, found in shapes.items():
        if key.startswith("optimiser/"):
            like = parameters[int(key.split("/")[1])][int(key.split("/")[2])]
            kind = found.properties.dtype
            alike = tuple(found.size) == tuple(like.shape)
            room[key] = torch.zeros_like(like, dtype=kind) if alike else torch.zeros(found.size, dtype=kind)
    return room
