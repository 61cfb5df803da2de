"""Likelihood bounds of the model of a sweep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from ladd.config import Suite, TextDataConfig, TextEvaluationConfig
from ladd.evaluation.estimate import estimate
from ladd.evaluation.generation import perplexity
from ladd.evaluation.rows import Row, measured
from ladd.stages.encoders import pretrained_encoder
from ladd.stages.held_out import HeldOut, held_out
from ladd.stages.measure import bound_settings
from ladd.stages.text import load_tokenizer
from ladd.stages.trained import load_trained
from ladd.systems.base import System


def likelihood_rows(suite: Suite, key: str, row: Row, device: torch.device) -> list[Row]:
    """One row per bound, on the validation split; of text also on every other corpus, all as perplexities but the full
    bound, which is in nats per token."""
    sweep, evaluation = suite.sweeps[key], suite.evaluation
    system, model = System.of(suite, sweep.model), load_encoding(suite, sweep.model, device)
    settings = bound_settings(evaluation, suite.seed)
    validation = held_out(suite, sweep.data, "validation", evaluation.sequences, device)
    row = replace(row, precision="float32")
    bounds = system.bounds(model, validation.tokens, settings, sweep)
    if not bounds:
        return []
    if not isinstance(evaluation, TextEvaluationConfig):
        return [measured(row, metric, estimate(values)) for metric, values in bounds.items()]
    row = replace(row, tokenizer=load_tokenizer(sweep.data).name)
    of_validation, groups = replace(row, documents=validation.document_count), validation.documents
    rows = [measured(of_validation, "val_ppl", perplexity(bounds["token_elbo"], groups))]
    if "full_bound" in bounds:
        rows.append(measured(of_validation, "full_bound", estimate(bounds["full_bound"], groups)))
    for corpus, found in zero_shot(suite, sweep.data, device).items():
        token_elbo = system.bounds(model, found.tokens, settings, sweep, token_only=True)["token_elbo"]
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


def load_encoding(suite: Suite, key: str, device: torch.device) -> Any:
    """A trained model that can encode any text: with its pretrained encoder, where one made its latents."""
    model: Any = load_trained(suite, key, device)
    if (encoder := pretrained_encoder(suite, key, device)) is not None:
        model.pretrained_encoder = encoder
    return model
