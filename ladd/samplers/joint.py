"""Joint schedule: tokens and latents step together (paper, Eq. Joint).

The latents' clock may run ahead, t_z = t_x^lead, and the tokens may hold back, t_x = u^(1/lag): a model trained on
independent times leaves both to inference.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.models import Ladd
from ladd.processes.gaussian import ddim_step
from ladd.processes.masked import draw_reveal
from ladd.randomness import SampleNoise
from ladd.samplers.steps import (
    Samples,
    SamplingOptions,
    fill,
    latent_noise,
    position_uniform,
    reveal_uniform,
    shared,
    time_grid,
)
from ladd.schedules import GaussianSchedule, MaskedSchedule


@torch.no_grad()
def sample_joint_discrete(
    model: Ladd,
    x: Tensor,
    noise: SampleNoise,
    schedule: MaskedSchedule,
    latent_schedule: MaskedSchedule,
    options: SamplingOptions,
    *,
    mask_id: int,
    latent_length: int,
) -> Samples:
    """Di-LADD: reveal masked tokens of x int64 (B, N) and codes; within a step neither sees the other's draws."""
    denoiser, codebook = model.denoiser, model.codebook
    assert codebook is not None
    latent_mask_id = len(codebook.vectors)
    codes = x.new_full((len(x), latent_length), latent_mask_id)
    passes = x.new_zeros(len(x))
    uniform, code_uniform = position_uniform(noise, "token", x), position_uniform(noise, "code", codes)
    for step in time_grid(options.token_steps, x.device, options.token_lag):
        z_masked = codes == latent_mask_id
        reveal = draw_reveal(x == mask_id, step.t, step.s, schedule, reveal_uniform(noise, "token", x, step))
        t_z, s_z = step.t**options.latent_lead, step.s**options.latent_lead
        unfinished = (x == mask_id).any(dim=1, keepdim=True)  # codes of finished samples no longer matter
        code_uniforms = reveal_uniform(noise, "code", codes, step)
        code_reveal = draw_reveal(z_masked & unfinished, t_z, s_z, latent_schedule, code_uniforms)
        rows = reveal.any(dim=1) | code_reveal.any(dim=1)
        if not rows.any():
            continue
        passes += rows
        count = int(rows.sum())
        vectors = codebook.lookup(codes[rows].clamp(max=latent_mask_id - 1))
        inputs = shared(options, x[rows], vectors, step.t.expand(count), t_z.expand(count), z_masked[rows])
        hidden, latent_hidden = denoiser(*inputs)
        x = fill(x, reveal, rows, hidden, denoiser.token_head, uniform, options)
        codes = fill(codes, code_reveal, rows, latent_hidden, denoiser.latent_head, code_uniform, options)
    return Samples(x, passes, torch.zeros_like(passes))


@torch.no_grad()
def sample_joint_continuous(
    model: Ladd,
    x: Tensor,
    noise: SampleNoise,
    schedule: MaskedSchedule,
    latent_schedule: GaussianSchedule,
    options: SamplingOptions,
    *,
    mask_id: int,
    latent_shape: tuple[int, int],
) -> Samples:
    """Co-LADD: reveal masked tokens of x int64 (B, N) while DDIM denoises latents of shape (L, w)."""
    denoiser = model.denoiser
    z = noise.normal("latent_start", 0, *latent_shape).float()
    passes = x.new_zeros(len(x))
    uniform = position_uniform(noise, "token", x)
    for step in time_grid(options.token_steps, x.device, options.token_lag):
        reveal = draw_reveal(x == mask_id, step.t, step.s, schedule, reveal_uniform(noise, "token", x, step))
        rows = (x == mask_id).any(dim=1)  # latents of finished samples no longer matter
        if not rows.any():
            break
        passes += rows
        count = int(rows.sum())
        t_z, s_z = step.t**options.latent_lead, step.s**options.latent_lead
        hidden, latent_hidden = denoiser(*shared(options, x[rows], z[rows], step.t.expand(count), t_z.expand(count)))
        x = fill(x, reveal, rows, hidden, denoiser.token_head, uniform, options)
        z = z.clone()
        z[rows] = ddim_step(
            z[rows],
            denoiser.latent_head(latent_hidden),
            t_z,
            s_z,
            latent_schedule,
            eta=options.eta,
            noise=latent_noise(noise.select(rows), step, latent_shape, options.eta),
        )
    return Samples(x, passes, torch.zeros_like(passes))
