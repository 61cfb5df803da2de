"""stage2@M: train a model on frozen latents, from the Stage 1 weights where there are some."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ladd.config import Suite
from ladd.files import WEIGHTS
from ladd.stages.artifacts import REDUCTION, load_weights, save_weights
from ladd.stages.models import build_training
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, train_stage
from ladd.systems.stage1 import LearnedLatents


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Model, data with latents, and loss."""
    suite, made = stage.suite, build_training(stage)
    latents = suite.model(stage.key).latents_name
    assert latents is not None
    folder = Path(f"artifacts/latents/{latents}")
    start_from_stage1(suite, latents, folder, made.task.model)

    def finish(average: nn.Module, output: Path) -> None:
        save_weights(average, output)
        if suite.view_of(latents):
            shutil.copy(folder / REDUCTION, output / REDUCTION)  # to encode other text, besides the encoder itself

    return replace(made, finish=finish)


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
    model.start_from(trained)


if __name__ == "__main__":
    run_stage("stage2", main)
