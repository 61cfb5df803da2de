"""Likelihood bounds of the model of a sweep."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ladd.config import ModelConfig, Suite, SweepConfig, TextDataConfig, TextEvaluationConfig
from ladd.evaluation.bounds import BoundSettings, autoregressive_bound, ladd_bounds, mdlm_bound
from ladd.evaluation.estimate import estimate
from ladd.evaluation.generation import perplexity
from ladd.evaluation.rows import Row, measured
from ladd.models import Ladd
from ladd.networks import CausalTransformer, DiT
from ladd.schedules import MASKED_SCHEDULES, latent_schedule
from ladd.stages.encoders import pretrained_encoder
from ladd.stages.held_out import HeldOut, held_out
from ladd.stages.measure import bound_settings
from ladd.stages.text import load_tokenizer
from ladd.stages.trained import load_trained


def likelihood_rows(suite: Suite, key: str, row: Row, device: torch.device) -> list[Row]:
    """One row per bound, on the validation split; of text also on every other corpus, all as perplexities but the full
    bound, which is in nats per token."""
    sweep, evaluation = suite.sweeps[key], suite.evaluation
    model = load_trained(suite, sweep.model, device)
    if isinstance(model, Ladd):
        model.pretrained_encoder = pretrained_encoder(suite, sweep.model, device)
    settings = bound_settings(evaluation, suite.seed)
    validation = held_out(suite, sweep.data, "validation", evaluation.sequences, device)
    row = replace(row, precision="float32")
    bounds = bounds_of(suite, sweep, model, validation.tokens, settings)
    if not isinstance(evaluation, TextEvaluationConfig):
        return [measured(row, metric, estimate(values)) for metric, values in bounds.items()]
    row = replace(row, tokenizer=load_tokenizer(sweep.data).name)
    of_validation, groups = replace(row, documents=validation.document_count), validation.documents
    rows = [measured(of_validation, "val_ppl", perplexity(bounds["token_elbo"], groups))]
    if "full_bound" in bounds:
        rows.append(measured(of_validation, "full_bound", estimate(bounds["full_bound"], groups)))
    for corpus, found in zero_shot(suite, sweep.data, device).items():
        token_elbo = bounds_of(suite, sweep, model, found.tokens, settings, token_only=True)["token_elbo"]
        of_corpus = replace(row, documents=found.document_count)
        rows.append(measured(of_corpus, f"zero_shot_ppl/{corpus}", perplexity(token_elbo, found.documents)))
    return rows


def zero_shot(suite: Suite, data: str, device: torch.device) -> dict[str, HeldOut]:
    """Blocks of every corpus that no model was trained on."""
    config, evaluation = suite.data[data], suite.evaluation
    assert isinstance(config, TextDataConfig)
    assert isinstance(evaluation, TextEvaluationConfig)
    return {
        name: held_out(suite, data, f"zero_shot/{name}", evaluation.zero_shot_sequences, device)
        for name in config.zero_shot
    }


def bounds_of(
    suite: Suite,
    sweep: SweepConfig,
    model: Ladd | DiT | CausalTransformer,
    x: Tensor,
    settings: BoundSettings,
    *,
    token_only: bool = False,
) -> dict[str, Tensor]:
    """Per-sequence bounds of a model under the sweep's schedule, on sequences x int64 (n, N)."""
    config = suite.model(sweep.model)
    mask_id = suite.data[config.data].vocabulary
    if isinstance(model, CausalTransformer):
        return autoregressive_bound(model, x, settings, start_id=mask_id)
    assert config.token_channel is not None
    tokens = MASKED_SCHEDULES[config.token_channel.schedule]
    if isinstance(model, DiT):
        return mdlm_bound(model, x, tokens, settings, mask_id=mask_id)
    assert isinstance(config, ModelConfig)
    return ladd_bounds(
        model,
        x,
        tokens,
        latent_schedule(config.latent_channel.schedule, discrete=config.family == "di-ladd"),
        settings,
        inference=sweep.schedule,
        latent_lead=sweep.latent_lead,
        mask_id=mask_id,
        token_only=token_only,
    )
