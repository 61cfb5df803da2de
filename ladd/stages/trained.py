"""Trained models: built and loaded, with the pretrained encoder behind the latents of some."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ladd.config import Suite, SweepConfig
from ladd.files import WEIGHTS
from ladd.latents.frozen import LatentEncoder
from ladd.latents.prior import build_prior
from ladd.latents.reduction import Reduction
from ladd.stages.artifacts import REDUCTION, load_weights
from ladd.systems.base import System
from ladd.tasks import task_of


def load_trained(suite: Suite, key: str, device: torch.device, weights: Path | None = None) -> nn.Module:
    """A trained model, in evaluation mode; with the final weights, or those of a file."""
    model = System.of(suite, key).build()
    load_weights(model, weights or Path(f"artifacts/models/{key}") / WEIGHTS)
    return model.eval().to(device)


def load_sampled(suite: Suite, sweep: SweepConfig, device: torch.device, weights: Path | None = None) -> nn.Module:
    """The trained model of a sweep, with the prior that draws its latents where the sweep names one."""
    model: Any = load_trained(suite, sweep.model, device, weights)
    if sweep.prior is not None:
        model.prior = build_prior(suite.priors[sweep.prior], suite.latent_shape(suite.priors[sweep.prior].latents))
        load_weights(model.prior, Path(f"artifacts/priors/{sweep.prior}") / WEIGHTS)
        model.prior.eval().to(device)
    return model


def load_encoding(suite: Suite, key: str, device: torch.device) -> Any:
    """A trained model that can encode any sequence: with its pretrained encoder, where one made its latents."""
    model: Any = load_trained(suite, key, device)
    config = suite.model(key)
    found = None if config.latents_name is None else suite.view_of(config.latents_name)
    if found is not None:
        encoder = suite.encoders[found[0]]
        reduction = Reduction.load(Path(f"artifacts/models/{key}/{REDUCTION}"))
        reader = task_of(suite, config.data, device).encoder(encoder)
        model.pretrained_encoder = LatentEncoder(reader, encoder.views[found[1]], reduction)
    return model
