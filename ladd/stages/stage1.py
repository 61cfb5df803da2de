"""stage1@Z: train encoder, quantiser and token denoiser, then compute the latents of all sequences once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ladd.files import write_json
from ladd.latents.model import LatentModel
from ladd.latents.statistics import latent_statistics, spread_rows
from ladd.stages.artifacts import load_latents, load_tokens, save_latents, save_weights, use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, seed_weights, train_stage
from ladd.systems.stage1 import LearnedLatents
from ladd.training.batches import TokenTask

BATCH = 512  # sequences that are encoded at a time


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Encoder, quantiser and denoiser, data and loss."""
    suite, config = stage.suite, stage.suite.latents[stage.key]
    device, vocabulary = use_device(suite.compute), suite.data[config.data].vocabulary
    splits = {split: load_tokens(config.data, split, device) for split in ("train", "validation")}
    seed_weights(stage)
    system = LearnedLatents(config, vocabulary, suite.data[config.data].tokens)
    model = system.build().to(device)

    def finish(average: LatentModel, folder: Path) -> None:
        save_weights(average, folder)
        encode, dtype = encoding(average), "int32" if config.codebook else "float32"
        save_latents(stage.work, folder, splits, encode, dtype, batch=BATCH)
        latents = load_latents(folder, "train", device)
        sample = latents[spread_rows(len(latents))]
        write_json(Path(f"results/stage1/{stage.key}.json"), latent_statistics(sample, config.codebook))

    task = TokenTask(model, system.losses, splits["train"], splits["validation"], vocabulary)
    return Training(task, config.training, f"artifacts/latents/{stage.key}", finish)


def encoding(model: LatentModel) -> Callable[[Tensor], Tensor]:
    """Sequences (B, N) to their latents: codes int32 (B, L), or vectors float32 (B, L, w)."""

    @torch.no_grad()
    def encode(tokens: Tensor) -> Tensor:
        encoded = model.encode(tokens.long())
        return encoded.vectors if encoded.codes is None else encoded.codes.int()

    return encode


if __name__ == "__main__":
    run_stage("stage1", main)
