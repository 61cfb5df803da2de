"""Reading what other stages wrote, and the final weights of a model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ladd.config import ComputeConfig
from ladd.data.shards import Rows, shard_path, write_shard
from ladd.errors import ArtifactError, ConfigError, reading
from ladd.files import WEIGHTS, file_hash, save_tensors
from ladd.progress import bar

REDUCTION = "reduction.safetensors"  # of the states of a pretrained encoder
LATENT_SHARD = 65536  # sequences per file
REMEDY = "it is cut or damaged: `dvc checkout` puts the file back, or remove its folder and run `dvc repro`"


def use_device(config: ComputeConfig) -> torch.device:
    """Set the number of threads and return the device.

    Raises:
        ConfigError: no such device here.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("compute.device is 'cuda' but there is no GPU here; set it to 'cpu'")
    torch.set_num_threads(config.threads)
    return torch.device(config.device)


def load_tokens(data: str, split: str, device: torch.device) -> Rows:
    """Sequences of a split (M, N); they stay on disk until they are asked for."""
    return Rows.open(Path(f"artifacts/data/{data}/{split}"), device)


def load_latents(folder: Path, split: str, device: torch.device) -> Rows:
    """Stored latents of a split: codes (M, L) or vectors (M, L, w)."""
    return Rows.open(folder / split, device)


def save_latents(
    work: Path,
    folder: Path,
    splits: Mapping[str, Rows],
    encode: Callable[[Tensor], Tensor],
    dtype: str,
    *,
    batch: int,
    shard: int = LATENT_SHARD,
) -> None:
    """Write the latents of all rows of every split, folder/SPLIT/00000.arrow, ...; a killed pass goes on.

    Args:
        work: keeps finished shards until the stage ends, under the hash of the weights that made them.
        folder: the output; it holds the weights already.
        encode: rows (B, ...) -> codes (B, L), or vectors (B, L, w).
        batch: rows at a time; batches do not cross the borders of shards.
        shard: rows per file.
    """
    kept = work / f"latents-{file_hash(folder / WEIGHTS)[:16]}"
    with bar("latents", sum(map(len, splits.values())), "row") as progress:
        for split, rows in splits.items():
            for number, start in enumerate(range(0, len(rows), shard)):
                stop, path = min(start + shard, len(rows)), shard_path(kept / split, number)
                if path.is_file():
                    progress.update(stop - start)
                    continue
                parts = []
                for place in range(start, stop, batch):
                    parts.append(encode(rows[place : min(place + batch, stop)]).cpu().numpy())
                    progress.update(len(parts[-1]))
                write_shard(path, np.concatenate(parts, dtype=dtype))
            # A killed process may have left the beginning of a shard, under a hidden name.
            shutil.copytree(kept / split, folder / split, ignore=shutil.ignore_patterns(".*"), copy_function=os.link)


def load_array(path: Path) -> np.ndarray:
    """A small stored array.

    Raises:
        ArtifactError: it is missing or broken.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
    with reading(path, REMEDY):
        return np.load(path)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read weights into a module built from the same configuration.

    Raises:
        ArtifactError: the file is missing or broken.
    """
    with reading(path, REMEDY):
        state = load_file(path)
    module.load_state_dict(state)


def save_weights(module: nn.Module, folder: Path) -> None:
    """Write the final weights."""
    save_tensors(folder / WEIGHTS, module.state_dict())
