"""sample@S: draw the samples of a sweep, for every step budget and seed, and keep them."""

from __future__ import annotations

import sys

import numpy as np
import torch
from tqdm import tqdm

from ladd.config import BaselineConfig, LatentsConfig, ModelConfig, Suite, SweepConfig
from ladd.files import write_json
from ladd.models import Ladd
from ladd.networks import CausalTransformer, DiT
from ladd.randomness import derive
from ladd.samplers import (
    Sampler,
    SamplingOptions,
    sample_autoregressive,
    sample_in_batches,
    sample_joint_continuous,
    sample_joint_discrete,
    sample_masked,
    sample_sequential_continuous,
    sample_sequential_discrete,
)
from ladd.schedules import GAUSSIAN_SCHEDULES, MASKED_SCHEDULES
from ladd.stages.artifacts import use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.trained import load_trained


def main(stage: Stage) -> None:
    suite, sweep = stage.suite, stage.suite.sweeps[stage.key]
    data = suite.data[sweep.data]
    device = use_device(suite.compute)
    sample = sampler_of(suite, sweep, load_trained(suite, sweep.model, device))
    passes = {}
    runs = [(steps, seed) for steps in sweep.token_steps for seed in sweep.seeds]
    # Samples of all budgets and seeds share one progress bar; a step budget of K costs K passes.
    with (
        stage.output(f"artifacts/samples/{stage.key}") as folder,
        tqdm(total=sum(k for k, _ in runs), desc="sampling", unit="pass", file=sys.stderr, mininterval=1.0) as progress,
    ):
        for steps, seed in runs:
            options = SamplingOptions(
                token_steps=steps,
                latent_steps=sweep.latent_steps,
                token_lag=sweep.token_lag,
                latent_lead=sweep.latent_lead,
                eta=sweep.eta,
                temperature=sweep.temperature,
                precision=sweep.precision,
            )
            noise_seed = derive(suite.seed, "sample", seed)
            start = torch.full((sweep.samples, data.tokens), data.vocabulary, device=device)
            samples = sample_in_batches(sample, start, noise_seed, options, sweep.batch)
            name = f"steps-{steps}-seed-{seed}"
            np.save(folder / f"{name}.npy", samples.tokens.to(torch.uint8).cpu().numpy())
            passes[name] = {
                "token_passes": float(samples.token_passes.double().mean()),
                "latent_passes": float(samples.latent_passes.double().mean()),
            }
            progress.update(steps)
        write_json(folder / "passes.json", passes)


def sampler_of(suite: Suite, sweep: SweepConfig, model: Ladd | DiT | CausalTransformer) -> Sampler:
    """The sampler of a sweep: (starting tokens, noise, options) -> samples."""
    config = suite.model(sweep.model)
    mask_id = suite.data[config.data].vocabulary
    if isinstance(config, BaselineConfig):
        assert not isinstance(model, Ladd)
        return _baseline_sampler(config, model, mask_id)
    assert isinstance(model, Ladd)
    latents = suite.latents[config.latents]
    if config.family == "di-ladd":
        return _discrete_sampler(config, latents, sweep.schedule, model, mask_id)
    return _continuous_sampler(config, latents, sweep.schedule, model, mask_id)


def _baseline_sampler(config: BaselineConfig, model: DiT | CausalTransformer, mask_id: int) -> Sampler:
    if isinstance(model, CausalTransformer):
        return lambda x, noise, options: sample_autoregressive(
            model, x, noise, options, start_id=mask_id, mask_id=mask_id
        )
    assert config.token_channel is not None
    tokens = MASKED_SCHEDULES[config.token_channel.schedule]
    return lambda x, noise, options: sample_masked(model, x, noise, tokens, options, mask_id=mask_id)


def _discrete_sampler(
    config: ModelConfig, latents: LatentsConfig, inference: str, model: Ladd, mask_id: int
) -> Sampler:
    tokens, codes = MASKED_SCHEDULES[config.token_channel.schedule], MASKED_SCHEDULES[config.latent_channel.schedule]
    sample = sample_joint_discrete if inference == "joint" else sample_sequential_discrete
    return lambda x, noise, options: sample(
        model, x, noise, tokens, codes, options, mask_id=mask_id, latent_length=latents.length
    )


def _continuous_sampler(
    config: ModelConfig, latents: LatentsConfig, inference: str, model: Ladd, mask_id: int
) -> Sampler:
    tokens, shape = MASKED_SCHEDULES[config.token_channel.schedule], (latents.length, latents.width)
    if inference == "joint":
        sample, schedule = sample_joint_continuous, GAUSSIAN_SCHEDULES[config.latent_channel.schedule]
    else:
        assert config.latent_denoiser is not None
        sample, schedule = sample_sequential_continuous, GAUSSIAN_SCHEDULES[config.latent_denoiser.schedule]
    return lambda x, noise, options: sample(
        model, x, noise, tokens, schedule, options, mask_id=mask_id, latent_shape=shape
    )


if __name__ == "__main__":
    run_stage("sample", main)
