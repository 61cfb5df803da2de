"""prior@P: train a model of continuous latents alone, which sequential schedules draw them from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from ladd.diffusion.noise import SampleNoise
from ladd.latents.prior import build_prior, prior_loss
from ladd.stages.artifacts import load_latents, save_weights, use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, seed_weights, train_stage
from ladd.training.batches import TokenTask


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """The network, the latents and the loss."""
    suite, config = stage.suite, stage.suite.priors[stage.key]
    folder, device = Path(f"artifacts/latents/{config.latents}"), use_device(suite.compute)
    train, validation = (load_latents(folder, split, device) for split in ("train", "validation"))
    seed_weights(stage)
    task = TokenTask(
        build_prior(config, suite.latent_shape(config.latents)).to(device), losses, train, validation, vocabulary=1
    )
    return Training(task, config.training, f"artifacts/priors/{stage.key}", save_weights)


def losses(model: Any, z: Tensor, _: Tensor | None, noise: SampleNoise, step: int) -> dict[str, Tensor]:
    """Of clean latents z (B, L, w), in half precision where a pretrained encoder made them."""
    return {"loss": prior_loss(model, z.float(), noise, step).mean()}


if __name__ == "__main__":
    run_stage("prior", main)
