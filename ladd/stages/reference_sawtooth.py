"""Exact references of the sawtooth: oracle, exact sampler, real against real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ladd.config import SawtoothConfig, SawtoothEvaluationConfig, Suite
from ladd.evaluation.bounds import mdlm_bound
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.exact import SawtoothReference
from ladd.evaluation.rows import Row, measured
from ladd.progress import counted
from ladd.randomness import derive
from ladd.samplers import SamplingOptions, sample_in_batches, sample_masked
from ladd.schedules import MASKED_SCHEDULES
from ladd.stages.held_out import held_out
from ladd.stages.measure import SawtoothMeasures, bound_settings
from ladd.stages.real import real_chunk


def sawtooth_rows(suite: Suite, key: str, row: Row, device: torch.device) -> tuple[list[Row], list[dict[str, Any]]]:
    """All rows of a data set; its sequences are not worth showing."""
    data, evaluation = suite.data[key], suite.evaluation
    assert isinstance(data, SawtoothConfig)
    assert isinstance(evaluation, SawtoothEvaluationConfig)
    exact = SawtoothReference(data.tokens, data.periods, data.floor, evaluation.grid).to(device)
    validation = held_out(suite, key, "validation", evaluation.sequences, device).tokens
    oracle = Estimate(exact.oracle_loss(), 0.0, 0)  # a quadrature, no sample
    rows = [measured(replace(row, model=f"oracle-{key}", family="oracle"), "token_loss_clean_latent", oracle)]
    row = replace(row, model=f"exact-{key}", family="exact")
    rows += likelihood_rows(suite, row, exact, validation)
    return rows + sampling_rows(suite, key, row, exact, device), []


def likelihood_rows(suite: Suite, row: Row, exact: SawtoothReference, x: Tensor) -> list[Row]:
    """Entropy rate by exact likelihoods, and the bound of the exact denoiser, which must agree with it."""
    settings = bound_settings(suite.evaluation, suite.seed)
    nll = torch.cat(
        [
            -exact.log_likelihood(part) / x.shape[1]
            for part in counted(x.split(settings.batch), "exact likelihood", "batch")
        ]
    )
    bound = mdlm_bound(exact, x, MASKED_SCHEDULES["linear"], settings, mask_id=exact.mask_id)["token_elbo"]
    return [measured(row, "entropy_rate", estimate(nll)), measured(row, "token_elbo", estimate(bound))]


def sampling_rows(suite: Suite, key: str, row: Row, exact: SawtoothReference, device: torch.device) -> list[Row]:
    """The exact denoiser in the token sampler at every budget, and real sequences against other real ones."""
    data, evaluation = suite.data[key], suite.evaluation
    assert isinstance(evaluation, SawtoothEvaluationConfig)
    config, measures = evaluation.reference, SawtoothMeasures(suite, key, device)
    start = torch.full((config.samples, data.tokens), data.vocabulary, device=device)

    def sample(x, noise, options):
        return sample_masked(exact, x, noise, MASKED_SCHEDULES["linear"], options, mask_id=exact.mask_id)

    rows = []
    for index, seed in enumerate(config.seeds):
        other = real_chunk(suite, key, "floor", index, config.samples, device)
        rows += measures.rows(replace(row, model=f"real-{key}", family="real", seed=seed), other, index)
        for steps in counted(config.token_steps, f"exact sampler, seed {seed}", "budget"):
            noise_seed = derive(suite.seed, "sample", seed)
            samples = sample_in_batches(sample, start, noise_seed, SamplingOptions(token_steps=steps), config.batch)
            nfe = float(samples.token_passes.double().mean())
            budget = replace(row, token_steps=steps, latent_steps=0, temperature=1.0, nfe=round(nfe, 4), seed=seed)
            rows += measures.rows(budget, samples.tokens, index)
    return rows
