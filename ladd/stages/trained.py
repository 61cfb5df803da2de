"""Trained models as samplers want them: built, loaded, with their schedules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ladd.config import ModelConfig, Suite, SweepConfig
from ladd.models import build_baseline, build_ladd
from ladd.randomness import SampleNoise
from ladd.samplers import (
    Samples,
    SamplingOptions,
    sample_autoregressive,
    sample_joint_continuous,
    sample_joint_discrete,
    sample_masked,
    sample_sequential_continuous,
    sample_sequential_discrete,
)
from ladd.schedules import GAUSSIAN_SCHEDULES, MASKED_SCHEDULES, latent_schedule
from ladd.stages.artifacts import load_weights

Sampler = Callable[[Tensor, SampleNoise, SamplingOptions], Samples]


def load_trained(suite: Suite, key: str, device: torch.device) -> nn.Module:
    """A trained baseline or latent-augmented model, in evaluation mode."""
    config = suite.model(key)
    vocabulary = suite.data[config.data].vocabulary
    if isinstance(config, ModelConfig):
        model: nn.Module = build_ladd(vocabulary, suite.latents[config.latents], config)
    else:
        model = build_baseline(vocabulary, config)
    load_weights(model, Path(f"artifacts/models/{key}"))
    return model.eval().to(device)


def sampler_of(suite: Suite, sweep: SweepConfig, model: nn.Module) -> Sampler:
    """The sampler of a sweep: (starting tokens, noise, options) -> samples."""
    config = suite.model(sweep.model)
    mask_id = suite.data[config.data].vocabulary
    if config.family == "ar":
        return lambda x, noise, options: sample_autoregressive(
            model, x, noise, options, start_id=mask_id, mask_id=mask_id
        )
    tokens = MASKED_SCHEDULES[config.token_channel.schedule]
    if config.family == "mdlm":
        return lambda x, noise, options: sample_masked(model, x, noise, tokens, options, mask_id=mask_id)
    latents = suite.latents[config.latents]
    discrete = config.family == "di-ladd"
    schedule = latent_schedule(config.latent_channel.schedule, discrete=discrete)
    if discrete:
        sample = sample_joint_discrete if sweep.schedule == "joint" else sample_sequential_discrete
        return lambda x, noise, options: sample(
            model, x, noise, tokens, schedule, options, mask_id=mask_id, latent_length=latents.length
        )
    sample = sample_joint_continuous
    if sweep.schedule == "sequential":
        sample, schedule = sample_sequential_continuous, GAUSSIAN_SCHEDULES[config.latent_denoiser.schedule]
    shape = (latents.length, latents.width)
    return lambda x, noise, options: sample(
        model, x, noise, tokens, schedule, options, mask_id=mask_id, latent_shape=shape
    )
