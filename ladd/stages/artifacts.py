"""Reading what other stages wrote, and the final weights of a model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ladd.config import ComputeConfig
from ladd.data.shards import Rows, write_array_shards
from ladd.errors import ArtifactError, ConfigError
from ladd.files import save_tensors

WEIGHTS = "weights.safetensors"
REDUCTION = "reduction.safetensors"  # of the states of a pretrained encoder
LATENT_SHARD = 65536  # sequences per file


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


def save_latents(folder: Path, parts: Iterable[Tensor], shape: tuple[int, ...], dtype: str) -> None:
    """Write latents as they come: codes (B, L), or vectors (B, L, w)."""
    write_array_shards(folder, (part.cpu().numpy() for part in parts), shape=shape, dtype=dtype, shard=LATENT_SHARD)


def load_array(path: Path) -> np.ndarray:
    """A small stored array.

    Raises:
        ArtifactError: it is missing.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
    return np.load(path)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read weights into a module built from the same configuration."""
    module.load_state_dict(load_file(path))


def save_weights(module: nn.Module, folder: Path) -> None:
    """Write the final weights."""
    save_tensors(folder / WEIGHTS, module.state_dict())
