"""reference@D: exact rows that models are held against: oracle, exact sampler, real against real."""

from __future__ import annotations

import sys
from dataclasses import replace

import torch
from tqdm import tqdm

from ladd.evaluation.bounds import mdlm_bound
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.exact import SawtoothReference
from ladd.evaluation.rows import Row, measured, sample_rows
from ladd.randomness import derive
from ladd.samplers import SamplingOptions, sample_in_batches, sample_masked
from ladd.schedules import MASKED_SCHEDULES
from ladd.stages.artifacts import load_tokens, use_device
from ladd.stages.measure import bound_settings, metric_settings, real_chunk
from ladd.stages.results import write_results
from ladd.stages.runtime import Stage, run_stage


def main(stage: Stage) -> None:
    suite, data = stage.suite, stage.suite.data[stage.key]
    device = use_device(suite.compute)
    exact = SawtoothReference(data.tokens, data.periods, data.floor, suite.evaluation.grid).to(device)
    row = Row(suite=suite.suite, model=f"exact-{stage.key}", family="exact")
    validation = load_tokens(stage.key, "validation", device)[: suite.evaluation.sequences].long()
    oracle = Estimate(exact.oracle_loss(), 0.0, 0)  # a quadrature, no sample
    rows = [
        measured(replace(row, model=f"oracle-{stage.key}", family="oracle"), "token_loss_clean_latent", oracle),
        *likelihood_rows(stage, row, exact, validation),
    ]
    rows += sampling_rows(stage, row, exact, load_tokens(stage.key, "reference", device))
    write_results(f"reference-{stage.key}", rows)


def likelihood_rows(stage: Stage, row: Row, exact: SawtoothReference, x: torch.Tensor) -> list[Row]:
    """Entropy rate by exact likelihoods, and the bound of the exact denoiser, which must agree with it."""
    settings = bound_settings(stage.suite.evaluation, stage.suite.seed)
    nll = torch.cat([-exact.log_likelihood(part) / x.shape[1] for part in x.split(settings.batch)])
    bound = mdlm_bound(exact, x, MASKED_SCHEDULES["linear"], settings, mask_id=exact.mask_id)["token_elbo"]
    return [measured(row, "entropy_rate", estimate(nll)), measured(row, "token_elbo", estimate(bound))]


def sampling_rows(stage: Stage, row: Row, exact: SawtoothReference, reference: torch.Tensor) -> list[Row]:
    """The exact denoiser in the token sampler at every budget, and real sequences against other real ones."""
    suite, config, data = stage.suite, stage.suite.evaluation.reference, stage.suite.data[stage.key]
    settings = metric_settings(suite.evaluation, data, suite.seed)
    start = torch.full((config.samples, data.tokens), data.vocabulary, device=reference.device)

    def sample(x, noise, options):
        return sample_masked(exact, x, noise, MASKED_SCHEDULES["linear"], options, mask_id=exact.mask_id)

    rows = []
    for index, seed in enumerate(config.seeds):
        real = real_chunk(reference, index, config.samples)
        other = real_chunk(reference, len(config.seeds) + index, config.samples)
        rows += sample_rows(replace(row, model=f"real-{stage.key}", family="real", seed=seed), other, real, settings)
        for steps in tqdm(config.token_steps, desc=f"exact sampler, seed {seed}", file=sys.stderr, mininterval=1.0):
            noise_seed = derive(suite.seed, "sample", seed)
            samples = sample_in_batches(sample, start, noise_seed, SamplingOptions(token_steps=steps), config.batch)
            nfe = float(samples.token_passes.double().mean())
            budget = replace(row, token_steps=steps, latent_steps=0, nfe=round(nfe, 4), seed=seed)
            rows += sample_rows(budget, samples.tokens, real, settings)
    return rows


if __name__ == "__main__":
    run_stage("reference", main)
