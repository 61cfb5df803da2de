"""What baseline@M and stage2@M train: a system on rows of data, and on latents where it takes some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ladd.stages.artifacts import load_latents, load_tokens, save_weights, use_device
from ladd.stages.runtime import Stage
from ladd.stages.train import Training, seed_weights
from ladd.systems.base import System
from ladd.training.batches import TokenTask


def build_training(stage: Stage) -> Training:
    """Model, untrained, data and loss."""
    suite, key = stage.suite, stage.key
    system, settings, device = System.of(suite, key), suite.model(key), use_device(suite.compute)
    train, validation = (load_tokens(settings.data, split, device) for split in ("train", "validation"))
    latents: tuple[Any, Any] = None, None
    if settings.latents_name is not None:
        folder = Path(f"artifacts/latents/{settings.latents_name}")
        latents = load_latents(folder, "train", device), load_latents(folder, "validation", device)
    seed_weights(stage)
    model, bound = system.build().to(device), system.validation_bound
    task = TokenTask(model, system.losses, train, validation, system.vocabulary, *latents, bound=bound)
    return Training(task, settings.training, f"artifacts/models/{key}", save_weights)
