"""Token loss of a sweep's model by the time t_x, given latents at several times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from ladd.config import ModelConfig, Suite
from ladd.evaluation.bounds import encode_all
from ladd.evaluation.estimate import estimate, ratio
from ladd.evaluation.loss_by_time import BINS, LossByTime, ladd_loss_by_time, mdlm_loss_by_time
from ladd.evaluation.rows import TimeRow
from ladd.models import Ladd
from ladd.networks import CausalTransformer
from ladd.schedules import MASKED_SCHEDULES, latent_schedule
from ladd.stages.encoders import pretrained_encoder
from ladd.stages.trained import load_trained
from ladd.tasks import task_of

SEQUENCES = 250  # at most: with ten draws, 2,500 passes for each time of the latents
TIME_DRAWS = 10  # per sequence: one in every bin


def latent_times(config: ModelConfig) -> dict[str, float | None]:
    """Times t_z that the latents are shown at, by name; None is the time of the joint schedule.

    Those of noisy latents are what the model was trained on. Times that it was never trained on are left out.
    """
    noisy: dict[str, float | None] = {"shared": None} if config.latent_channel.times == "shared" else {"noisy": 0.5}
    low, high = config.latent_noise
    times = {"clean": 0.0} | noisy | {"masked": 1.0}
    return {name: t for name, t in times.items() if (low, high) == (0.0, 1.0) or (t is not None and low <= t <= high)}


def loss_by_time_rows(suite: Suite, key: str, device: torch.device) -> list[TimeRow]:
    """Rows of every bin and every time of the latents; none of an autoregressive model, which has no time.

    None either where tokens are given: that changes what is sampled, not what is lost.
    """
    sweep = suite.sweeps[key]
    config = suite.model(sweep.model)
    if sweep.given is not None or config.token_channel is None:
        return []
    task = task_of(suite, sweep.data, device)
    found = task.held_out("validation", min(SEQUENCES, task.evaluation.sequences))
    row = TimeRow(model=sweep.model, sweep=key, family=config.family, n=len(found.tokens))
    row = replace(row, documents=found.document_count)
    rows: list[TimeRow] = []
    for name, losses in _losses(suite, key, found.tokens, device):
        rows += _rows(replace(row, latents=name), losses, found.documents)
    return rows


def _losses(suite: Suite, key: str, x: Tensor, device: torch.device) -> Iterator[tuple[str, LossByTime]]:
    """Losses of sequences x int64 (n, N), by name of the time of the latents."""
    sweep = suite.sweeps[key]
    config, mask_id = suite.model(sweep.model), suite.data[sweep.data].vocabulary
    model = load_trained(suite, sweep.model, device)
    settings = replace(task_of(suite, sweep.data).bound_settings, time_draws=TIME_DRAWS)
    assert config.token_channel is not None
    assert not isinstance(model, CausalTransformer)
    tokens = MASKED_SCHEDULES[config.token_channel.schedule]
    if not isinstance(model, Ladd):
        yield "", mdlm_loss_by_time(model, x, tokens, settings, mask_id=mask_id)
        return
    assert isinstance(config, ModelConfig)
    model.pretrained_encoder = pretrained_encoder(suite, sweep.model, device)
    latents = encode_all(model, x, settings.batch)
    channel = latent_schedule(config.latent_channel.schedule, discrete=config.family == "di-ladd")
    for name, time in latent_times(config).items():
        yield (
            name,
            ladd_loss_by_time(
                model,
                x,
                latents,
                tokens,
                channel,
                settings,
                latent_time=time,
                latent_lead=sweep.latent_lead,
                mask_id=mask_id,
            ),
        )


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
