"""Token loss of a sweep's model by the time t_x, given latents at several times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ladd.config import Suite
from ladd.evaluation.estimate import estimate, ratio
from ladd.evaluation.loss_by_time import BINS, LossByTime
from ladd.evaluation.rows import TimeRow
from ladd.stages.held_out import held_out
from ladd.stages.likelihood import load_encoding
from ladd.stages.measure import bound_settings
from ladd.systems.base import System

SEQUENCES = 250  # at most: with ten draws, 2,500 passes for each time of the latents
TIME_DRAWS = 10  # per sequence: one in every bin


def loss_by_time_rows(suite: Suite, key: str, device: torch.device) -> list[TimeRow]:
    """Rows of every bin and every time of the latents; none of a system without a time.

    None either where tokens are given: that changes what is sampled, not what is lost.
    """
    sweep = suite.sweeps[key]
    if sweep.given is not None:
        return []
    found = held_out(suite, sweep.data, "validation", min(SEQUENCES, suite.evaluation.sequences), device)
    row = TimeRow(model=sweep.model, sweep=key, family=suite.model(sweep.model).family, n=len(found.tokens))
    row = replace(row, documents=found.document_count)
    rows: list[TimeRow] = []
    model = load_encoding(suite, sweep.model, device)
    settings = replace(bound_settings(suite.evaluation, suite.seed), time_draws=TIME_DRAWS)
    for name, losses in System.of(suite, sweep.model).losses_by_time(model, found.tokens, settings, sweep):
        rows += _rows(replace(row, latents=name), losses, found.documents)
    return rows


def _rows(row: TimeRow, losses: LossByTime, documents: Tensor | None) -> Iterator[TimeRow]:
    for place in range(BINS):
        weighted, plain, masked = (part[:, place] for part in losses)
        mean = estimate(weighted, documents)
        per_masked = ratio(plain, masked, documents) if masked.sum() > 0 else None
        yield replace(
            row,
            t_low=place / BINS,
            t_high=(place + 1) / BINS,
            weighted=mean.value,
            weighted_stderr=mean.stderr,
            per_masked=None if per_masked is None else per_masked.value,
            per_masked_stderr=None if per_masked is None else per_masked.stderr,
        )
