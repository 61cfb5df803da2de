"""stage2@M: train a latent-augmented model on frozen latents, from the Stage 1 weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from ladd.config import ModelConfig, Suite
from ladd.models import Ladd, build_latent_model
from ladd.stages.artifacts import (
    REDUCTION,
    WEIGHTS,
    load_latents,
    load_tokens,
    load_weights,
    save_weights,
    use_device,
)
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, seed_weights, train_stage
from ladd.stages.trained import build_stage2
from ladd.training.tasks import LaddTask


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Model with the weights of Stage 1, data with latents, and loss."""
    suite, config = stage.suite, stage.suite.models[stage.key]
    device, vocabulary = use_device(suite.compute), suite.data[config.data].vocabulary
    folder = Path(f"artifacts/latents/{config.latents}")
    seed_weights(stage)
    model = build_stage2(suite, config)
    start_from_stage1(suite, config, folder, model)
    model.to(device)

    def finish(average: Ladd, output: Path) -> None:
        save_weights(average, output)
        if suite.view_of(config.latents):  # what it takes to encode other text, besides the encoder itself
            shutil.copy(folder / REDUCTION, output / REDUCTION)

    task = LaddTask(
        model,
        load_tokens(config.data, "train", device),
        load_tokens(config.data, "validation", device),
        load_latents(folder, "train", device),
        load_latents(folder, "validation", device),
        vocabulary,
        config,
    )
    return Training(task, config.training, f"artifacts/models/{stage.key}", finish)


def start_from_stage1(suite: Suite, config: ModelConfig, folder: Path, model: Ladd) -> None:
    """Take over the encoder, the codebook and the denoiser of Stage 1; a latent denoiser starts untrained.

    On the latents of a pretrained encoder there is no more than a codebook to take over.
    """
    if config.latents in suite.codebooks:
        assert model.codebook is not None
        load_weights(model.codebook, folder / WEIGHTS)
    if config.latents not in suite.latents:
        return
    trained = build_latent_model(suite.data[config.data].vocabulary, suite.latents[config.latents])
    load_weights(trained, folder / WEIGHTS)
    model.denoiser.load_state_dict(trained.denoiser.state_dict())
    assert model.encoder is not None
    model.encoder.load_state_dict(trained.encoder.state_dict())
    if model.codebook is not None:
        model.codebook.load_state_dict(trained.frozen_codebook().state_dict())


if __name__ == "__main__":
    run_stage("stage2", main)
