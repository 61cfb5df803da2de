"""The straightforward way, which the benchmarks compare with: predict everywhere, then keep what is needed.

Same draws, same schedules and same networks as in `ladd`, so that tests can ask for the same samples and gradients.
Heads, softmax and categorical draws run at all N positions (and all L latents) of all samples in every step.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ladd.models import Ladd
from ladd.networks import TokenDenoiser
from ladd.processes.gaussian import ddim_step
from ladd.processes.masked import draw_reveal
from ladd.randomness import SampleNoise
from ladd.samplers.steps import SamplingOptions, position_uniform, time_grid
from ladd.schedules import GaussianSchedule, MaskedSchedule
from ladd.training.ema import WeightAverage


def masked_cross_entropy(hidden: Tensor, head: nn.Module, targets: Tensor, masked: Tensor, weight: Tensor) -> Tensor:
    """As `ladd.objectives.masked.masked_cross_entropy`: SUBS as a table of log-probabilities of all positions.

    Public implementations of masked diffusion write it like this: normalise the logits, then let revealed positions
    carry over their token, with log-probability 0 there and -inf elsewhere.
    """
    table = torch.log_softmax(head(hidden), dim=-1)
    carried = torch.full_like(table, -torch.inf).scatter_(-1, targets[..., None], 0.0)
    table = torch.where(masked[..., None], table, carried)
    return -table.gather(-1, targets[..., None])[..., 0].sum(dim=1) * weight


def fused_cross_entropy(hidden: Tensor, head: nn.Module, targets: Tensor, masked: Tensor, weight: Tensor) -> Tensor:
    """The same, as lean as the dense way can be: one fused cross-entropy over all positions."""
    nll = F.cross_entropy(head(hidden).flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)
    return (nll * masked).sum(dim=1) * weight


@torch.no_grad()
def update_average(average: WeightAverage, model: nn.Module) -> None:
    """As `WeightAverage.update`, parameter by parameter, as public implementations write it."""
    decay = min(average.decay, (1 + average.updates) / (10 + average.updates))
    average.updates += 1
    for mean, current in zip(average.model.parameters(), model.parameters(), strict=True):
        mean.sub_((1 - decay) * (mean - current))
    for mean, current in zip(average.model.buffers(), model.buffers(), strict=True):
        mean.copy_(current)


def draw_everywhere(logits: Tensor, uniform: Tensor, options: SamplingOptions) -> Tensor:
    """One draw per position (B, N) from logits (B, N, V): softmax in float64, inversion of the cumulative sum."""
    cumulative = torch.softmax(logits.double() / options.temperature, dim=-1).cumsum(dim=-1)
    return (cumulative <= uniform[..., None] * cumulative[..., -1:]).sum(dim=-1)


@torch.no_grad()
def sample_masked(
    denoiser: TokenDenoiser, x: Tensor, noise: SampleNoise, schedule: MaskedSchedule, options: SamplingOptions
) -> Tensor:
    """Tokens int64 (B, N) of a masked diffusion model, from x."""
    mask_id, uniform = _mask_id(denoiser), position_uniform(noise, "token", x)
    for step in time_grid(options.token_steps, x.device, options.token_lag):
        drawn = draw_everywhere(denoiser.token_head(denoiser(x, step.t.expand(len(x)))), uniform, options)
        uniforms = position_uniform(noise, "token_reveal", x, step.index)
        x = torch.where(draw_reveal(x == mask_id, step.t, step.s, schedule, uniforms), drawn, x)
    return x


@torch.no_grad()
def sample_joint_continuous(
    model: Ladd,
    x: Tensor,
    noise: SampleNoise,
    schedule: MaskedSchedule,
    latent_schedule: GaussianSchedule,
    options: SamplingOptions,
    latent_shape: tuple[int, int],
) -> Tensor:
    """Tokens int64 (B, N) of joint Co-LADD, from x."""
    denoiser, mask_id, uniform = model.denoiser, _mask_id(model.denoiser), position_uniform(noise, "token", x)
    z = noise.normal("latent_start", 0, *latent_shape).float()
    for step in time_grid(options.token_steps, x.device, options.token_lag):
        t_z, s_z = step.t**options.latent_lead, step.s**options.latent_lead
        hidden, latent_hidden = denoiser(x, z, step.t.expand(len(x)), t_z.expand(len(x)))
        drawn = draw_everywhere(denoiser.token_head(hidden), uniform, options)
        uniforms = position_uniform(noise, "token_reveal", x, step.index)
        x = torch.where(draw_reveal(x == mask_id, step.t, step.s, schedule, uniforms), drawn, x)
        fresh = noise.normal("latent", step.index, *latent_shape)
        z = ddim_step(z, denoiser.latent_head(latent_hidden), t_z, s_z, latent_schedule, eta=options.eta, noise=fresh)
    return x


@torch.no_grad()
def sample_sequential_discrete(
    model: Ladd,
    x: Tensor,
    noise: SampleNoise,
    schedule: MaskedSchedule,
    latent_schedule: MaskedSchedule,
    options: SamplingOptions,
    latent_length: int,
) -> Tensor:
    """Tokens int64 (B, N) of sequential Di-LADD, from x."""
    denoiser, codebook, mask_id = model.denoiser, model.codebook, _mask_id(model.denoiser)
    assert codebook is not None
    size, zero = len(codebook.vectors), torch.zeros(len(x), device=x.device)
    codes = x.new_full((len(x), latent_length), size)
    uniform = position_uniform(noise, "code", codes)
    for step in time_grid(options.latent_steps, x.device):
        vectors, t = codebook.lookup(codes.clamp(max=size - 1)), step.t.expand(len(x))
        latent_hidden = denoiser(x, vectors, torch.ones_like(t), t, codes == size)[1]
        drawn = draw_everywhere(denoiser.latent_head(latent_hidden), uniform, options)
        uniforms = position_uniform(noise, "code_reveal", codes, step.index)
        codes = torch.where(draw_reveal(codes == size, step.t, step.s, latent_schedule, uniforms), drawn, codes)
    uniform = position_uniform(noise, "token", x)
    for step in time_grid(options.token_steps, x.device, options.token_lag):
        hidden = denoiser(x, codebook.lookup(codes), step.t.expand(len(x)), zero)[0]
        drawn = draw_everywhere(denoiser.token_head(hidden), uniform, options)
        uniforms = position_uniform(noise, "token_reveal", x, step.index)
        x = torch.where(draw_reveal(x == mask_id, step.t, step.s, schedule, uniforms), drawn, x)
    return x


def _mask_id(denoiser: object) -> int:
    return denoiser.embedding.num_embeddings - 1  # type: ignore[attr-defined]
