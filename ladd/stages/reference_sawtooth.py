"""Exact references of the sawtooth: oracle, exact sampler, real against real."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ladd.config import SawtoothConfig, SawtoothEvaluationConfig, Suite
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import derive
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.evaluation.bounds import token_bound
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.exact import SawtoothReference
from ladd.evaluation.rows import Row, measured
from ladd.progress import counted
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample_in_batches
from ladd.samplers.sources import Stream, TokenSource, share_equal_rows
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
    bound = token_bound(process_of(exact), exact, x, settings)
    return [measured(row, "entropy_rate", estimate(nll)), measured(row, "token_elbo", estimate(bound))]


def sampling_rows(suite: Suite, key: str, row: Row, exact: SawtoothReference, device: torch.device) -> list[Row]:
    """The exact denoiser in the token sampler at every budget, and real sequences against other real ones."""
    data, evaluation = suite.data[key], suite.evaluation
    assert isinstance(evaluation, SawtoothEvaluationConfig)
    config, measures = evaluation.reference, SawtoothMeasures(suite, key, device)
    start = torch.full((config.samples, data.tokens), data.vocabulary, device=device)

    network = share_equal_rows(exact)
    source = TokenSource(
        Stream(process_of(exact), "token", (data.tokens,)), lambda x, t: Prediction(network(x, t), exact.token_head)
    )
    rows = []
    for index, seed in enumerate(config.seeds):
        other = real_chunk(suite, key, "floor", index, config.samples, device)
        rows += measures.rows(replace(row, model=f"real-{key}", family="real", seed=seed), other, index)
        for steps in counted(config.token_steps, f"exact sampler, seed {seed}", "budget"):
            noise_seed = derive(suite.seed, "sample", seed)
            sampler = Ancestral(source=source, token_steps=steps)
            samples = sample_in_batches(sampler, start, noise_seed, config.batch)
            nfe = float(samples.token_passes.double().mean())
            budget = replace(row, token_steps=steps, latent_steps=0, temperature=1.0, nfe=round(nfe, 4), seed=seed)
            rows += measures.rows(budget, samples.tokens, index)
    return rows


def process_of(exact: SawtoothReference) -> MaskedProcess:
    """Masked diffusion with a linear schedule, whose denoiser it is."""
    return MaskedProcess(DISCRETE_SCHEDULES["linear"], exact.mask_id)
