"""stage1@Z: train encoder, quantiser and token denoiser, then compute the latents of all sequences once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ladd.data.shards import Rows
from ladd.files import write_json
from ladd.latents.model import LatentModel
from ladd.latents.statistics import latent_statistics
from ladd.models import build_latent_model
from ladd.stages.artifacts import load_latents, load_tokens, save_latents, save_weights, use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import Training, seed_weights, train_stage
from ladd.training.tasks import LatentTask


def main(stage: Stage) -> None:
    train_stage(stage, training)


def training(stage: Stage) -> Training:
    """Encoder, quantiser and denoiser, data and loss."""
    suite, config = stage.suite, stage.suite.latents[stage.key]
    device, vocabulary = use_device(suite.compute), suite.data[config.data].vocabulary
    splits = {split: load_tokens(config.data, split, device) for split in ("train", "validation")}
    seed_weights(stage)
    model = build_latent_model(vocabulary, config).to(device)

    def finish(average: LatentModel, folder: Path) -> None:
        save_weights(average, folder)
        row, dtype = ((config.length,), "int32") if config.codebook else ((config.length, config.width), "float32")
        for split, tokens in splits.items():
            save_latents(folder / split, encode_all(average, tokens), row, dtype)
        train = load_latents(folder, "train", device)[:]
        write_json(Path(f"results/stage1/{stage.key}.json"), latent_statistics(train, config.codebook))

    task = LatentTask(model, splits["train"], splits["validation"], vocabulary, config)
    return Training(task, config.training, f"artifacts/latents/{stage.key}", finish)


@torch.no_grad()
def encode_all(model: LatentModel, tokens: Rows, batch: int = 512) -> Iterator[Tensor]:
    """Latents of all sequences, a batch at a time: codes int32 (B, L), or vectors float32 (B, L, w)."""
    for start in range(0, len(tokens), batch):
        encoded = model.encode(tokens[start : start + batch].long())
        yield encoded.vectors if encoded.codes is None else encoded.codes.int()


if __name__ == "__main__":
    run_stage("stage1", main)
