"""Pretrained encoders that read the blocks of a data set."""

from __future__ import annotations

from pathlib import Path

import torch

from ladd.config import EncoderConfig, FeaturesConfig, Suite
from ladd.latents.reduction import Reduction
from ladd.stages.artifacts import REDUCTION
from ladd.stages.text import fetch, load_tokenizer
from ladd.text.encoder import FrozenTextEncoder, LatentEncoder


def load_encoder(
    suite: Suite, data: str, config: EncoderConfig | FeaturesConfig, device: torch.device
) -> FrozenTextEncoder:
    """A pretrained encoder that reads the blocks of a data set."""
    folder = fetch(suite, config.asset) / config.folder
    return FrozenTextEncoder.load(folder, load_tokenizer(data), device=device, batch=config.batch)


def pretrained_encoder(suite: Suite, key: str, device: torch.device) -> LatentEncoder | None:
    """What encodes text that has no stored latents for the model of that name; None where its encoder is learned."""
    config = suite.model(key)
    found = None if config.latents_name is None else suite.view_of(config.latents_name)
    if found is None:
        return None
    encoder = suite.encoders[found[0]]
    reduction = Reduction.load(Path(f"artifacts/models/{key}/{REDUCTION}"))
    return LatentEncoder(load_encoder(suite, config.data, encoder, device), encoder.views[found[1]], reduction)
