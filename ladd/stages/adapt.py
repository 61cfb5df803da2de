"""adapt@M: train a model on frozen latents, from the weights of a trained baseline."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from ladd.config import Suite
from ladd.stages.artifacts import REDUCTION, save_weights
from ladd.stages.models import build_training
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.stage2 import start_from_stage1
from ladd.stages.train import Training, train_stage
from ladd.stages.trained import load_trained


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Model, data with latents, and loss."""
    suite, made = stage.suite, build_training(stage)
    settings: Any = suite.model(stage.key)
    folder = Path(f"artifacts/latents/{settings.latents}")
    start_from_baseline(suite, settings.start, made.task.model)
    start_from_stage1(suite, settings.latents, folder, made.task.model)

    def finish(average: nn.Module, output: Path) -> None:
        save_weights(average, output)
        if suite.view_of(settings.latents):
            shutil.copy(folder / REDUCTION, output / REDUCTION)  # to encode other text, besides the encoder itself

    return replace(made, finish=finish)


def start_from_baseline(suite: Suite, baseline: str, model: Any) -> None:
    """Take over all weights of a baseline; what the model adds to it stays untrained."""
    device = next(model.parameters()).device
    state = load_trained(suite, baseline, device).state_dict()
    own = model.denoiser.state_dict()
    model.denoiser.load_state_dict(state | {name: own[name] for name in own if model.denoiser.is_new(name)})


if __name__ == "__main__":
    run_stage("adapt", main)
