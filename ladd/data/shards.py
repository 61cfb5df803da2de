"""Rows of numbers in memory-mapped Arrow files: blocks of tokens (N), latents (L, w), codes (L).

A folder holds ``00000.arrow``, ``00001.arrow``, ..., each an Arrow stream with one record batch and one column,
"values": FixedSizeList(n) of the stored type, n the numbers per row; the shape of a row is in the schema's metadata.
``datasets.Dataset.from_file`` opens such a file too. Stages read it without that library, which takes seconds to import
and gathers a batch of 32 rows in fifteen times the time (677 against 45 microseconds).
Every shard but the last has the same number of rows, so that the bytes depend on the content alone, not on how it came.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ladd.errors import ArtifactError
from ladd.files import whole_file

COLUMN = "values"
# torch can neither index nor embed these, so they leave as int64; all other types leave as they are stored.
_WIDENED = (np.dtype("uint16"), np.dtype("int32"))


def token_type(vocabulary: int) -> np.dtype:
    """The smallest stored type for ids below V that leaves room for the mask id, V: uint8, uint16 or int32."""
    return np.dtype("uint8" if vocabulary < 256 else "uint16" if vocabulary < 65536 else "int32")


def shard_path(folder: Path, index: int) -> Path:
    """The file of shard ``index``, from 0."""
    return folder / f"{index:05d}.arrow"


def write_shard(path: Path, values: np.ndarray) -> None:
    """Write rows (M, *shape) as one shard, under another name first: the file is whole or not there."""
    # Here, so that the module imports with torch and numpy alone.
    import pyarrow as pa

    numbers = pa.array(np.ascontiguousarray(values).reshape(-1))
    rows = pa.FixedSizeListArray.from_arrays(numbers, math.prod(values.shape[1:]))
    schema = pa.schema([(COLUMN, rows.type)], metadata={"shape": json.dumps(values.shape[1:])})
    with whole_file(path) as file, pa.ipc.new_stream(file, schema) as writer:
        writer.write_batch(pa.record_batch([rows], schema=schema))


def _fits(array: np.ndarray, dtype: np.dtype) -> bool:
    """Whether no integer would wrap around and no fraction be cut off."""
    if dtype.kind == "f" or array.dtype.kind == "f" or not array.size:
        return dtype.kind == "f" or array.dtype.kind != "f"
    return bool(array.min() >= np.iinfo(dtype).min and array.max() <= np.iinfo(dtype).max)


def _regroup(arrays: Iterable[np.ndarray], shape: tuple[int, ...], dtype: np.dtype, rows: int) -> Iterator[np.ndarray]:
    """The same rows in arrays of ``rows`` rows, the last one shorter; each is overwritten by the next."""
    buffer = np.empty((rows, *shape), dtype)
    filled = 0
    for array in arrays:
        if array.shape[1:] != shape:
            raise ArtifactError(f"rows of shape {array.shape[1:]} among rows of shape {shape}: give rows of one shape")
        if not _fits(array, dtype):
            raise ArtifactError(f"rows of {array.dtype} do not fit in shards of {dtype}: name another type")
        start = 0
        while start < len(array):
            taken = min(rows - filled, len(array) - start)
            buffer[filled : filled + taken] = array[start : start + taken]
            filled, start = filled + taken, start + taken
            if filled == rows:
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]


def write_array_shards(
    folder: Path, arrays: Iterable[np.ndarray], *, shape: tuple[int, ...], dtype: np.dtype | str, shard: int
) -> int:
    """Write a stream of rows; memory is that of one shard, and shards of an earlier run are replaced.

    Args:
        arrays: each (any number of rows, *shape).
        shape: of a row.
        dtype: stored type. Floats are rounded to it; integers must fit.
        shard: rows per shard.
    Returns:
        M, the number of rows.
    Raises:
        ArtifactError: an array has another shape or does not fit in the type, or there is no row at all.
    """
    for stale in folder.glob("*.arrow"):
        stale.unlink()
    count = 0
    for index, values in enumerate(_regroup(arrays, shape, np.dtype(dtype), shard)):
        write_shard(shard_path(folder, index), values)
        count += len(values)
    if count == 0:
        raise ArtifactError(f"{folder}: there is not one row to write; give more data or shorter rows")
    return count


def _checked(blocks: Iterable[np.ndarray], vocabulary: int) -> Iterator[np.ndarray]:
    """The same blocks, none with an id that the tokenizer does not have."""
    for block in blocks:
        if block.size and not (block.min() >= 0 and block.max() < vocabulary):
            raise ArtifactError(
                f"token ids from {block.min()} to {block.max()} with a vocabulary of {vocabulary}: "
                "give the vocabulary of the tokenizer that made them"
            )
        yield block


def write_shards(folder: Path, blocks: Iterable[np.ndarray], *, tokens: int, vocabulary: int, shard: int) -> int:
    """Write a stream of token blocks; memory is that of one shard.

    Args:
        folder: made if need be; shards of an earlier run are replaced.
        blocks: integer arrays (any number of blocks, N) with values in [0, V).
        tokens: N.
        vocabulary: V; it sets the stored type (see `token_type`).
        shard: blocks per shard.
    Returns:
        M, the number of blocks.
    Raises:
        ArtifactError: an id is out of range, a block has another length, or there is no block at all.
    """
    checked = _checked(blocks, vocabulary)
    return write_array_shards(folder, checked, shape=(tokens,), dtype=token_type(vocabulary), shard=shard)


def _map(path: Path) -> np.ndarray:
    """The rows of a shard as a read-only view of the file, (M, *shape)."""
    import pyarrow as pa  # here, as above

    try:
        table = pa.ipc.open_stream(pa.memory_map(str(path))).read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(
            f"{path} is not a whole Arrow file ({error}): delete its folder, rerun its stage"
        ) from error
    shape = json.loads(table.schema.metadata[b"shape"])
    return table[COLUMN].chunk(0).values.to_numpy(zero_copy_only=True).reshape(-1, *shape)


class Rows:
    """All rows of a folder of shards, read from disk only where they are asked for.

    Args:
        shards: arrays (M_i, *shape), in order.
    """

    def __init__(self, shards: list[np.ndarray], device: torch.device):
        self.shards, self.device = shards, device
        self._ends = np.cumsum([len(shard) for shard in shards])

    @classmethod
    def open(cls, folder: Path, device: torch.device) -> Rows:
        """Map the shards of ``folder``.

        Raises:
            ArtifactError: there is none, one in the middle is missing or broken, or their rows differ in shape or type.
        """
        count = len(list(folder.glob("*.arrow")))
        paths = [shard_path(folder, index) for index in range(count)]
        missing = next((path for path in paths if not path.exists()), None if paths else shard_path(folder, 0))
        if missing is not None:
            raise ArtifactError(f"{missing} is missing: run the stage that writes {folder}")
        shards = [_map(path) for path in paths]
        for path, shard in zip(paths, shards, strict=True):
            if (shard.shape[1:], shard.dtype) != (shards[0].shape[1:], shards[0].dtype):
                raise ArtifactError(f"{path} has rows unlike those of {paths[0]}: delete {folder}, rerun its stage")
        return cls(shards, device)

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        """(M, N), (M, L) or (M, L, w)."""
        return (len(self), *self.shards[0].shape[1:])

    def __getitem__(self, rows: Tensor | np.ndarray | slice) -> Tensor:
        """Rows in the order asked for, copied to ``device``.

        Args:
            rows: integers (B,) in [0, M), in any order, repeats allowed; or a slice.
        Returns:
            (B, *shape) in the stored type; int64 where that is uint16 or int32.
        """
        if isinstance(rows, slice):
            index = np.arange(*rows.indices(len(self)))
        else:
            index = rows.cpu().numpy() if isinstance(rows, Tensor) else np.asarray(rows)
        if index.ndim != 1 or index.dtype.kind != "i":
            raise IndexError(f"rows are a slice or integers of shape (B,), not {index.dtype} of shape {index.shape}")
        if index.size and not (index.min() >= 0 and index.max() < len(self)):
            raise IndexError(f"rows from {index.min()} to {index.max()} are not all in [0, {len(self)})")
        first = self.shards[0]
        gathered = np.empty((len(index), *first.shape[1:]), first.dtype)
        owner = np.searchsorted(self._ends, index, side="right")
        for shard in np.unique(owner):
            here = owner == shard
            gathered[here] = self.shards[shard][index[here] - (self._ends[shard] - len(self.shards[shard]))]
        if first.dtype in _WIDENED:
            gathered = gathered.astype(np.int64)
        values = torch.from_numpy(gathered)
        if self.device.type == "cpu":
            return values
        # From pinned memory the copy does not wait for what the device is computing.
        return values.pin_memory().to(self.device, non_blocking=True)
