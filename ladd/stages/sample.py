"""sample@S: draw the samples of a sweep, for every step budget and seed, and keep them."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ladd.config import BaselineConfig, LatentShape, ModelConfig, Suite, SweepConfig, SweepPoint
from ladd.data.shards import token_type
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
from ladd.stages.real import given_positions, real_chunk
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.trained import load_trained


def main(stage: Stage) -> None:
    suite, sweep = stage.suite, stage.suite.sweeps[stage.key]
    device = use_device(suite.compute)
    sample = sampler_of(suite, sweep, load_trained(suite, sweep.model, device))
    runs = [(point, index, seed) for point in sweep.points for index, seed in enumerate(sweep.seeds)]
    passes, seconds = {}, {}
    # Samples of all budgets and seeds share one progress bar; a step budget of K costs K passes.
    steps = sum(point.token_steps for point, _, _ in runs)
    with (
        stage.output(f"artifacts/samples/{stage.key}") as folder,
        tqdm(total=steps, desc="sampling", unit="pass", file=sys.stderr, mininterval=1.0) as progress,
    ):
        for point, index, seed in runs:
            start = starting_tokens(suite, sweep, index, device)
            noise_seed, name = derive(suite.seed, "sample", seed), f"{point.name}-seed-{seed}"
            begun = time.perf_counter()
            samples = sample_in_batches(sample, start, noise_seed, options_of(sweep, point), sweep.batch)
            tokens = samples.tokens.cpu().numpy()
            seconds[name] = (time.perf_counter() - begun) / len(tokens)
            np.save(folder / f"{name}.npy", tokens.astype(token_type(suite.data[sweep.data].vocabulary)))
            passes[name] = {
                "token_passes": float(samples.token_passes.double().mean()),
                "latent_passes": float(samples.latent_passes.double().mean()),
            }
            progress.update(point.token_steps)
        write_json(folder / "passes.json", passes)
    # Apart from the samples, which are the same on every run.
    write_json(Path(f"results/sample/{stage.key}.json"), {"seconds_per_sequence": seconds})


def options_of(sweep: SweepConfig, point: SweepPoint) -> SamplingOptions:
    """Options of the sampler at one point of a sweep."""
    return SamplingOptions(
        token_steps=point.token_steps,
        latent_steps=sweep.latent_steps,
        token_lag=sweep.token_lag,
        latent_lead=sweep.latent_lead,
        eta=sweep.eta,
        temperature=point.temperature,
        precision=sweep.precision,
    )


def starting_tokens(suite: Suite, sweep: SweepConfig, index: int, device: torch.device) -> Tensor:
    """Tokens int64 (n, N) that sampling starts from: masked, but for those that are given (seed number ``index``)."""
    data = suite.data[sweep.data]
    start = torch.full((sweep.samples, data.tokens), data.vocabulary, device=device)
    if sweep.given is None:
        return start
    real = real_chunk(suite, sweep.data, index, sweep.samples, device)
    given = given_positions(suite, sweep.given, sweep.seeds[index], sweep.samples, data.tokens, device)
    return torch.where(given, real, start)


def sampler_of(suite: Suite, sweep: SweepConfig, model: Ladd | DiT | CausalTransformer) -> Sampler:
    """The sampler of a sweep: (starting tokens, noise, options) -> samples."""
    config = suite.model(sweep.model)
    mask_id = suite.data[config.data].vocabulary
    if isinstance(config, BaselineConfig):
        assert not isinstance(model, Ladd)
        return _baseline_sampler(config, model, mask_id)
    assert isinstance(model, Ladd)
    latents = suite.latent_shape(config.latents)
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


def _discrete_sampler(config: ModelConfig, latents: LatentShape, inference: str, model: Ladd, mask_id: int) -> Sampler:
    tokens, codes = MASKED_SCHEDULES[config.token_channel.schedule], MASKED_SCHEDULES[config.latent_channel.schedule]
    sample = sample_joint_discrete if inference == "joint" else sample_sequential_discrete
    return lambda x, noise, options: sample(
        model, x, noise, tokens, codes, options, mask_id=mask_id, latent_length=latents.length
    )


def _continuous_sampler(
    config: ModelConfig, latents: LatentShape, inference: str, model: Ladd, mask_id: int
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
