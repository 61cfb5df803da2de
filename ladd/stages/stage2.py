"""stage2@M: train a latent-augmented model on frozen latents, from the Stage 1 weights."""

from __future__ import annotations

from pathlib import Path

from ladd.config import ModelConfig, Suite
from ladd.models import Ladd, build_ladd, build_latent_model
from ladd.stages.artifacts import (
    load_array,
    load_tokens,
    load_weights,
    save_weights,
    use_device,
)
from ladd.stages.chain import describe_chain, describe_model
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import seed_weights, train_stage
from ladd.training.tasks import LaddTask


def main(stage: Stage) -> None:
    suite, config = stage.suite, stage.suite.models[stage.key]
    device, vocabulary = use_device(suite.compute), suite.data[config.data].vocabulary
    folder = Path(f"artifacts/latents/{config.latents}")
    seed_weights(stage)
    model = start_from_stage1(suite, config, folder).to(device)
    train_stage(
        stage,
        LaddTask(
            model,
            load_tokens(config.data, "train", device),
            load_tokens(config.data, "validation", device),
            load_array(folder / "train.npy", device),
            load_array(folder / "validation.npy", device),
            vocabulary,
            config,
        ),
        config.training,
        f"artifacts/models/{stage.key}",
        chain=describe_chain(suite, model=stage.key),
        tags={"role": "model", **describe_model(suite, stage.key)},
        finish=save_weights,
    )


def start_from_stage1(suite: Suite, config: ModelConfig, folder: Path) -> Ladd:
    """The model with the encoder, the codebook and the denoiser of Stage 1; a latent denoiser starts untrained."""
    latents, vocabulary = suite.latents[config.latents], suite.data[config.data].vocabulary
    model = build_ladd(vocabulary, latents, config)
    trained = build_latent_model(vocabulary, latents)
    load_weights(trained, folder)
    model.denoiser.load_state_dict(trained.denoiser.state_dict())
    model.encoder.load_state_dict(trained.encoder.state_dict())
    if model.codebook is not None:
        model.codebook.load_state_dict(trained.frozen_codebook().state_dict())
    return model


if __name__ == "__main__":
    run_stage("stage2", main)
