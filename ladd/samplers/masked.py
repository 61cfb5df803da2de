"""MDLM: ancestral sampling of masked diffusion (paper, Eqs. 44-47)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ladd.networks import TokenDenoiser
from ladd.processes.masked import draw_reveal
from ladd.randomness import SampleNoise
from ladd.samplers.steps import (
    Samples,
    SamplingOptions,
    fill,
    position_uniform,
    reveal_uniform,
    shared,
    time_grid,
)
from ladd.schedules import MaskedSchedule


@torch.no_grad()
def sample_masked(
    denoiser: TokenDenoiser,
    x: Tensor,
    noise: SampleNoise,
    schedule: MaskedSchedule,
    options: SamplingOptions,
    *,
    mask_id: int,
) -> Samples:
    """Reveal the masked tokens of x int64 (B, N); the others never change."""
    x, passes = reveal_all(
        lambda x_t, t, rows: denoiser(*shared(options, x_t, t)),
        denoiser.token_head,
        x,
        noise,
        schedule,
        options,
        steps=options.token_steps,
        lag=options.token_lag,
        mask_id=mask_id,
        name="token",
    )
    return Samples(x, passes, torch.zeros_like(passes))


def reveal_all(
    hidden_states: Callable[[Tensor, Tensor, Tensor], Tensor],
    head: nn.Module,
    state: Tensor,
    noise: SampleNoise,
    schedule: MaskedSchedule,
    options: SamplingOptions,
    *,
    steps: int,
    lag: float,
    mask_id: int,
    name: str,
) -> tuple[Tensor, Tensor]:
    """The reverse process of one masked channel.

    Args:
        hidden_states: (state of the selected samples, their times, bool (B,) which samples) -> hidden states.
        head: hidden states to logits.
        state: int64 (B, N), tokens or codes.
        noise, schedule, options: as in the samplers.
        steps: K.
        lag: of the time grid.
        mask_id: of this channel.
        name: of this channel's noise.
    Returns:
        The final state and the passes made for each sample, int64 (B,).
    """
    passes = state.new_zeros(len(state))
    uniform = position_uniform(noise, name, state)  # each position is drawn once
    for step in time_grid(steps, state.device, lag):
        uniforms = reveal_uniform(noise, name, state, step)
        reveal = draw_reveal(state == mask_id, step.t, step.s, schedule, uniforms)
        rows = reveal.any(dim=1)
        if not rows.any():
            continue
        passes += rows
        hidden = hidden_states(state[rows], step.t.expand(int(rows.sum())), rows)
        state = fill(state, reveal, rows, hidden, head, uniform, options)
    return state, passes
