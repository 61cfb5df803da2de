"""evaluate@S: likelihood bounds of the sweep's model, and metrics of its samples against real sequences."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ladd.config import ModelConfig, Suite, SweepConfig
from ladd.evaluation.bounds import (
    BoundSettings,
    autoregressive_bound,
    ladd_bounds,
    mdlm_bound,
)
from ladd.evaluation.cost import sample_cost
from ladd.evaluation.estimate import estimate
from ladd.evaluation.rows import Row, measured, sample_rows
from ladd.models import Ladd
from ladd.networks import CausalTransformer, DiT
from ladd.schedules import MASKED_SCHEDULES, latent_schedule
from ladd.stages.artifacts import load_array, load_tokens, use_device
from ladd.stages.chain import describe_chain, describe_model
from ladd.stages.measure import bound_settings, metric_settings, real_chunk
from ladd.stages.results import summary_points, write_results
from ladd.stages.runtime import Stage, run_stage
from ladd.stages.tracked import stage_run, tag_outputs
from ladd.stages.trained import load_trained


def main(stage: Stage) -> None:
    suite, sweep = stage.suite, stage.suite.sweeps[stage.key]
    described = describe_model(suite, sweep.model)
    row = Row(suite=suite.suite, model=stage.key, schedule=sweep.schedule, **described)
    rows = bound_rows(suite, stage.key, row) + metric_rows(suite, stage.key, row)
    write_results(stage.key, rows)
    tags = {"role": "evaluation", "schedule": sweep.schedule, "model": sweep.model, **described}
    with stage_run(stage, chain=describe_chain(suite, sweep=stage.key), tags=tags) as run:
        for step, values in summary_points(rows):
            run.log(values, step)
        tag_outputs(stage, run)


def bound_rows(suite: Suite, key: str, row: Row) -> list[Row]:
    """One row per likelihood bound."""
    sweep, evaluation = suite.sweeps[key], suite.evaluation
    device = use_device(suite.compute)
    validation = load_tokens(sweep.data, "validation", device)[: evaluation.sequences].long()
    model = load_trained(suite, sweep.model, device)
    bounds = bounds_of(suite, sweep, model, validation, bound_settings(evaluation, suite.seed))
    row = replace(row, precision="float32")
    return [measured(row, metric, estimate(values)) for metric, values in bounds.items()]


def metric_rows(suite: Suite, key: str, row: Row) -> list[Row]:
    """Rows of every step budget and seed."""
    sweep, folder = suite.sweeps[key], Path(f"artifacts/samples/{key}")
    config = suite.model(sweep.model)
    latents = suite.latents[config.latents] if isinstance(config, ModelConfig) else None
    data = suite.data[sweep.data]
    device = use_device(suite.compute)
    reference = load_tokens(sweep.data, "reference", device)
    settings = metric_settings(suite.evaluation, data, suite.seed)
    passes = json.loads((folder / "passes.json").read_text())
    rows = []
    for steps in sweep.token_steps:
        for index, seed in enumerate(sweep.seeds):
            name = f"steps-{steps}-seed-{seed}"
            samples = load_array(folder / f"{name}.npy", device).long()
            cost = sample_cost(config, latents, data.tokens, **passes[name])
            budget = replace(
                row,
                token_steps=steps,
                latent_steps=sweep.latent_steps,
                nfe=round(cost.nfe, 4),
                gmacs_per_sample=cost.gmacs,
                precision=sweep.precision,
                seed=seed,
            )
            rows += sample_rows(budget, samples, real_chunk(reference, index, sweep.samples), settings)
    return rows


def bounds_of(
    suite: Suite, sweep: SweepConfig, model: Ladd | DiT | CausalTransformer, x: Tensor, settings: BoundSettings
) -> dict[str, Tensor]:
    """Per-sequence bounds of a model under the sweep's schedule, on validation sequences x int64 (n, N)."""
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
    )


if __name__ == "__main__":
    run_stage("evaluate", main)
