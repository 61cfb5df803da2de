"""Reading what other stages wrote, and the final weights of a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from ladd.config import ComputeConfig
from ladd.errors import ArtifactError, ConfigError
from ladd.files import save_tensors

WEIGHTS = "weights.safetensors"


def use_device(config: ComputeConfig) -> torch.device:
    """Set the number of threads and return the device.

    Raises:
        ConfigError: no such device here.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("compute.device is 'cuda' but there is no GPU here; set it to 'cpu'")
    torch.set_num_threads(config.threads)
    return torch.device(config.device)


def load_tokens(data: str, split: str, device: torch.device) -> Tensor:
    """Sequences of a split, uint8 (M, N)."""
    return load_array(Path(f"artifacts/data/{data}/{split}.npy"), device)


def load_array(path: Path, device: torch.device) -> Tensor:
    """A stored array as a tensor.

    Raises:
        ArtifactError: it is missing.
    """
    if not path.is_file():
        raise ArtifactError(f"{path} is missing; run `dvc repro` to make it")
    return torch.from_numpy(np.load(path)).to(device)


def load_weights(module: nn.Module, folder: Path) -> None:
    """Read the final weights of a trained stage into a module built from the same configuration."""
    module.load_state_dict(load_file(folder / WEIGHTS))


def save_weights(module: nn.Module, folder: Path) -> None:
    """Write the final weights."""
    save_tensors(folder / WEIGHTS, module.state_dict())
