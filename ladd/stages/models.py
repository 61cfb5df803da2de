"""What baseline@M and stage2@M train: a system on rows of data, from the Stage 1 weights where there are some."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from torch import nn

from ladd.config import Suite
from ladd.files import WEIGHTS
from ladd.stages.artifacts import (
    REDUCTION,
    load_latents,
    load_tokens,
    load_weights,
    save_weights,
    use_device,
)
from ladd.stages.runtime import Stage
from ladd.stages.train import Training, seed_weights, train_stage
from ladd.systems.base import System
from ladd.systems.stage1 import LearnedLatents
from ladd.training.batches import TokenTask


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Model, with the weights of Stage 1 where there are some, data, with latents where it takes them, and loss."""
    suite, key = stage.suite, stage.key
    system, settings, device = System.of(suite, key), suite.model(key), use_device(suite.compute)
    name, folder = settings.latents_name, Path(f"artifacts/latents/{settings.latents_name}")
    train, validation = (load_tokens(settings.data, split, device) for split in ("train", "validation"))
    stored = (
        [None, None] if name is None else [load_latents(folder, split, device) for split in ("train", "validation")]
    )
    seed_weights(stage)
    model = system.build()
    if name is not None:
        start_from_stage1(suite, name, folder, model)
    model.to(device)

    def finish(average: nn.Module, output: Path) -> None:
        save_weights(average, output)
        if name is not None and suite.view_of(name):
            shutil.copy(folder / REDUCTION, output / REDUCTION)  # to encode other text, besides the encoder itself

    task = TokenTask(model, system.losses, train, validation, system.vocabulary, *stored)
    return Training(task, settings.training, f"artifacts/models/{key}", finish)


def start_from_stage1(suite: Suite, latents: str, folder: Path, model: Any) -> None:
    """Take over the encoder, the codebook and the denoiser of Stage 1; all else starts untrained.

    On the latents of a pretrained encoder there is no more than a codebook to take over.
    """
    if latents in suite.codebooks:
        load_weights(model.codebook, folder / WEIGHTS)
    if latents not in suite.latents:
        return
    config = suite.latents[latents]
    data = suite.data[config.data]
    trained = LearnedLatents(config, data.vocabulary, data.tokens).build()
    load_weights(trained, folder / WEIGHTS)
    model.denoiser.load_state_dict(trained.denoiser.state_dict())
    model.encoder.load_state_dict(trained.encoder.state_dict())
    if model.codebook is not None:
        model.codebook.load_state_dict(trained.frozen_codebook().state_dict())
