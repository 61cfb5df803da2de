"""stage1@Z: train encoder, quantiser and token denoiser, then compute the latents of all sequences once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ladd.files import write_json
from ladd.latents import LatentModel
from ladd.latents.statistics import latent_statistics
from ladd.models import build_latent_model
from ladd.stages.artifacts import load_tokens, save_weights, use_device
from ladd.stages.chain import describe_chain
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.train import seed_weights, train_stage
from ladd.training.tasks import LatentTask


def main(stage: Stage) -> None:
    suite, config = stage.suite, stage.suite.latents[stage.key]
    device, vocabulary = use_device(suite.compute), suite.data[config.data].vocabulary
    splits = {split: load_tokens(config.data, split, device) for split in ("train", "validation")}
    seed_weights(stage)
    model = build_latent_model(vocabulary, config).to(device)

    def finish(average: LatentModel, folder: Path) -> None:
        save_weights(average, folder)
        latents = {split: encode_all(average, tokens) for split, tokens in splits.items()}
        for split, values in latents.items():
            np.save(folder / f"{split}.npy", values.cpu().numpy())
        write_json(Path(f"results/stage1/{stage.key}.json"), latent_statistics(latents["train"], config.codebook))

    train_stage(
        stage,
        LatentTask(model, splits["train"], splits["validation"], vocabulary, config),
        config.training,
        f"artifacts/latents/{stage.key}",
        chain=describe_chain(suite, latents=stage.key),
        tags={"role": "latents", "kind": config.kind, "L": config.length, "K": config.codebook, "w": config.width},
        finish=finish,
    )


@torch.no_grad()
def encode_all(model: LatentModel, tokens: Tensor, batch: int = 512) -> Tensor:
    """Latents of all sequences: codes int16 (M, L), or vectors float32 (M, L, w)."""
    encoded = [model.encode(part.long()) for part in tokens.split(batch)]
    if model.quantiser is None:
        return torch.cat([part.vectors for part in encoded])
    return torch.cat([part.codes for part in encoded if part.codes is not None]).to(torch.int16)


if __name__ == "__main__":
    run_stage("stage1", main)
