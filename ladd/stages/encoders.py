"""The pretrained encoder behind the latents of a model."""

from __future__ import annotations

from pathlib import Path

import torch

from ladd.config import Suite
from ladd.latents.frozen import LatentEncoder
from ladd.latents.reduction import Reduction
from ladd.stages.artifacts import REDUCTION
from ladd.tasks import task_of


def pretrained_encoder(suite: Suite, key: str, device: torch.device) -> LatentEncoder | None:
    """What encodes text that has no stored latents for the model of that name; None where its encoder is learned."""
    config = suite.models[key]
    found = suite.view_of(config.latents)
    if found is None:
        return None
    encoder = suite.encoders[found[0]]
    reduction = Reduction.load(Path(f"artifacts/models/{key}/{REDUCTION}"))
    return LatentEncoder(task_of(suite, config.data, device).encoder(encoder), encoder.views[found[1]], reduction)
