"""Trained models: built and loaded."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ladd.config import Suite
from ladd.stages.artifacts import WEIGHTS, load_weights
from ladd.systems.base import System


def load_trained(suite: Suite, key: str, device: torch.device, weights: Path | None = None) -> nn.Module:
    """A trained model, in evaluation mode; with the final weights, or those of a file."""
    model = System.of(suite, key).build()
    load_weights(model, weights or Path(f"artifacts/models/{key}") / WEIGHTS)
    return model.eval().to(device)
