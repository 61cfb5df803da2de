"""Latents that are computed after a training, or from a codebook: kept shard by shard until the stage ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ladd.data.shards import Rows, write_array_shards
from ladd.errors import ArtifactError
from ladd.stages.artifacts import load_array, load_weights, save_latents, save_weights

CPU = torch.device("cpu")
SPLITS = {"train": 11, "validation": 5}


class KilledError(Exception):
    """Stands for the end of the process."""


class Encode:
    """Sums of rows, in batches that it counts; dies in the batch number ``last``, if that is given."""

    def __init__(self, last: int | None = None):
        self.seen, self.last = [], last

    def __call__(self, rows: Tensor) -> Tensor:
        if len(self.seen) == self.last:
            raise KilledError
        self.seen.append(len(rows))
        return rows.float().cumsum(dim=1)


@pytest.fixture
def splits(tmp_path) -> dict[str, Rows]:
    generator = np.random.default_rng(0)
    for split, count in SPLITS.items():
        write_array_shards(
            tmp_path / "data" / split, [generator.integers(9, size=(count, 3))], shape=(3,), dtype="uint8", shard=7
        )
    return {split: Rows.open(tmp_path / "data" / split, CPU) for split in SPLITS}


def save(tmp_path: Path, name: str, splits: dict[str, Rows], encode: Encode, weight: float = 1.0) -> Path:
    """Into a new output, as every attempt of a stage does."""
    folder, model = tmp_path / name, nn.Linear(1, 1)
    nn.init.constant_(model.weight, weight)
    nn.init.zeros_(model.bias)
    folder.mkdir()
    save_weights(model, folder)
    save_latents(tmp_path / "work", folder, splits, encode, "float32", batch=2, shard=4)
    return folder


def shards(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*")}


def test_killed_pass_goes_on_and_has_the_bytes_of_an_undisturbed_one(tmp_path, splits):
    for split, rows in splits.items():  # in one go, by other code
        values = Encode()(rows[:]).numpy()
        write_array_shards(tmp_path / "expected" / split, [values], shape=(3,), dtype="float32", shard=4)
    with pytest.raises(KilledError):
        save(tmp_path, "first", splits, Encode(last=5))
    kept = sorted(path.name for path in (tmp_path / "work").rglob("*.arrow"))
    assert kept == ["00000.arrow", "00001.arrow"]
    (cut,) = (tmp_path / "work").glob("*/train")
    (cut / ".00002.arrow-x7").write_bytes(b"the beginning of a shard")
    again = Encode()
    assert shards(save(tmp_path, "second", splits, again)) == shards(tmp_path / "expected")
    assert again.seen == [2, 1, 2, 2, 1]  # the last shard of the training split, and the validation split


def test_shards_of_other_weights_are_not_taken(tmp_path, splits):
    save(tmp_path, "first", splits, Encode())
    again = Encode()
    save(tmp_path, "second", splits, again, weight=2.0)
    assert sum(again.seen) == sum(SPLITS.values())
    last = Encode(last=0)
    save(tmp_path, "third", splits, last)
    assert last.seen == []


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 200, b"\x08\0\0\0\0\0\0\0{}      " + b"x" * 9])
def test_broken_files_are_errors_that_name_file_and_remedy(tmp_path, content):
    for name, load in (("a.npy", load_array), ("a.safetensors", lambda path: load_weights(nn.Linear(2, 2), path))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ArtifactError, match=rf"{tmp_path / name} cannot be read .*cut or damaged: `dvc checkout`"):
            load(tmp_path / name)


def test_array_with_objects_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object))
    with pytest.raises(ArtifactError, match=r"a\.npy cannot be read"):
        load_array(tmp_path / "a.npy")
