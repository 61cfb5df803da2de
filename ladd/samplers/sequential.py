"""Sequential schedule: latents first, then tokens given the clean latents (paper, Eq. Seq.)."""

from __future__ import annotations

import torch
from torch import Tensor

from ladd.models import Ladd
from ladd.processes.gaussian import ddim_step
from ladd.randomness import SampleNoise
from ladd.samplers.masked import reveal_all
from ladd.samplers.steps import Samples, SamplingOptions, latent_noise, shared, time_grid
from ladd.schedules import GaussianSchedule, MaskedSchedule


@torch.no_grad()
def sample_sequential_discrete(
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
    """Di-LADD: draw all codes while the tokens stay as they are, then reveal the masked tokens of x int64 (B, N).

    A code pass runs the whole two-stream network, and is counted as such.
    """
    codebook = model.codebook
    assert codebook is not None
    latent_mask_id = len(codebook.vectors)

    def code_states(codes: Tensor, t: Tensor, rows: Tensor) -> Tensor:
        vectors = codebook.lookup(codes.clamp(max=latent_mask_id - 1))
        # The tokens are often the same in all samples, and their embeddings and first projections then have one row.
        return model.denoiser(*shared(options, x[rows], vectors, torch.ones_like(t), t, codes == latent_mask_id))[1]

    codes, code_passes = reveal_all(
        code_states,
        model.denoiser.latent_head,
        x.new_full((len(x), latent_length), latent_mask_id),
        noise,
        latent_schedule,
        options,
        steps=options.latent_steps,
        lag=1.0,
        mask_id=latent_mask_id,
        name="code",
    )
    tokens, passes = tokens_given_latents(model, x, codebook.lookup(codes), noise, schedule, options, mask_id=mask_id)
    return Samples(tokens, passes + code_passes, torch.zeros_like(passes))


@torch.no_grad()
def sample_sequential_continuous(
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
    """Co-LADD: DDIM with the latent denoiser, which never sees the tokens, then reveal the tokens of x int64 (B, N)."""
    assert model.latent_denoiser is not None
    z = noise.normal("latent_start", 0, *latent_shape).float()
    for step in time_grid(options.latent_steps, x.device):
        z_hat = model.latent_denoiser(z, step.t.expand(len(z)))
        step_noise = latent_noise(noise, step, latent_shape, options.eta)
        z = ddim_step(z, z_hat, step.t, step.s, latent_schedule, eta=options.eta, noise=step_noise)
    tokens, passes = tokens_given_latents(model, x, z, noise, schedule, options, mask_id=mask_id)
    return Samples(tokens, passes, torch.full_like(passes, options.latent_steps))


def tokens_given_latents(
    model: Ladd,
    x: Tensor,
    vectors: Tensor,
    noise: SampleNoise,
    schedule: MaskedSchedule,
    options: SamplingOptions,
    *,
    mask_id: int,
) -> tuple[Tensor, Tensor]:
    """Token steps with clean latents (B, L, w) held fixed (t_z = 0): final tokens (B, N) and passes (B,)."""
    return reveal_all(
        lambda x_t, t, rows: model.denoiser(*shared(options, x_t, vectors[rows], t, torch.zeros_like(t)))[0],
        model.denoiser.token_head,
        x,
        noise,
        schedule,
        options,
        steps=options.token_steps,
        lag=options.token_lag,
        mask_id=mask_id,
        name="token",
    )
