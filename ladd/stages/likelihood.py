"""Likelihood bounds of a model under an inference schedule."""

from __future__ import annotations

from torch import Tensor

from ladd.config import ModelConfig, Suite, SweepConfig
from ladd.evaluation.bounds import BoundSettings, autoregressive_bound, ladd_bounds, mdlm_bound
from ladd.models import Ladd
from ladd.networks import CausalTransformer, DiT
from ladd.schedules import MASKED_SCHEDULES, latent_schedule


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
