"""sample@S: draw the samples of a sweep, for every step budget and seed, and keep them."""

from __future__ import annotations

import sys

import numpy as np
import torch
from tqdm import tqdm

from ladd.files import write_json
from ladd.randomness import SampleNoise, derive
from ladd.samplers import Samples, SamplingOptions
from ladd.stages.artifacts import use_device
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.trained import Sampler, load_trained, sampler_of


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


def sample_in_batches(
    sample: Sampler, start: torch.Tensor, seed: int, options: SamplingOptions, batch: int
) -> Samples:
    """Samples int64 (n, N) from starting tokens (n, N); sample i depends on (seed, i) alone."""
    parts = []
    for rows in torch.arange(len(start), device=start.device).split(batch):
        parts.append(sample(start[rows], SampleNoise(seed, rows), options))
    return Samples(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


if __name__ == "__main__":
    run_stage("sample", main)
