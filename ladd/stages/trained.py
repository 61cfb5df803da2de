"""Trained models: built and loaded."""

from __future__ import annotations

from pathlib import Path

import torch

from ladd.config import ModelConfig, Suite
from ladd.models import Ladd, build_baseline, build_ladd
from ladd.networks import CausalTransformer, DiT
from ladd.stages.artifacts import WEIGHTS, load_weights


def build_stage2(suite: Suite, config: ModelConfig) -> Ladd:
    """A latent-augmented model, untrained."""
    vocabulary, shape = suite.data[config.data].vocabulary, suite.latent_shape(config.latents)
    return build_ladd(vocabulary, shape, config, suite.latents.get(config.latents))


def load_trained(
    suite: Suite, key: str, device: torch.device, weights: Path | None = None
) -> Ladd | DiT | CausalTransformer:
    """A trained baseline or latent-augmented model, in evaluation mode; with the final weights, or those of a file."""
    config = suite.model(key)
    vocabulary = suite.data[config.data].vocabulary
    if isinstance(config, ModelConfig):
        model: Ladd | DiT | CausalTransformer = build_stage2(suite, config)
    else:
        model = build_baseline(vocabulary, config)
    load_weights(model, weights or Path(f"artifacts/models/{key}") / WEIGHTS)
    return model.eval().to(device)
