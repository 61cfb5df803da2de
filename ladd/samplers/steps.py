"""What all samplers share: options, results, the time grid, and filling revealed positions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ladd.processes.masked import draw_categorical, parts_of
from ladd.randomness import SampleNoise


@dataclass(frozen=True)
class SamplingOptions:
    """How to sample.

    Attributes:
        token_steps: K, steps of the token channel (and of the latents, jointly).
        latent_steps: T_z, latent steps before the tokens (sequential only).
        token_lag: of the token grid, t_x = u^(1/lag) for u uniform from 1 to 0, at least 1. Above 1 the first steps
            reveal few tokens, while nothing is known, and the last ones many.
        latent_lead: of the latents' clock in the joint schedule, t_z = t_x^lead, at least 1.
        eta: DDIM stochasticity of continuous latents, in [0, 1].
        temperature: of tokens and codes, > 0.
        precision: of categorical draws, "float64" or "float32".
        share_rows: make one pass for samples that are still equal. It changes no draw; what is timed makes one for
            each sample, as `Samples` counts them.
    """

    token_steps: int
    latent_steps: int = 0
    token_lag: float = 1.0
    latent_lead: float = 1.0
    eta: float = 0.0
    temperature: float = 1.0
    precision: str = "float64"
    share_rows: bool = True


class Samples(NamedTuple):
    """Tokens int64 (B, N), and the passes that each sample needed, int64 (B,).

    A pass that all samples share is made once and counted for each. Token passes are those of the network that holds
    the token stream; latent passes those of a latent-only network.
    """

    tokens: Tensor
    token_passes: Tensor
    latent_passes: Tensor


@dataclass(frozen=True)
class Step:
    """One reverse step t -> s, both float64 scalars."""

    index: int
    t: Tensor
    s: Tensor


def time_grid(steps: int, device: torch.device, lag: float = 1.0) -> Iterator[Step]:
    """Steps from t = 1 to t = 0, on a uniform grid where lag is 1 (see `SamplingOptions.token_lag`)."""
    times = torch.linspace(1.0, 0.0, steps + 1, dtype=torch.float64, device=device) ** (1 / lag)
    for index in range(steps):
        yield Step(index, times[index], times[index + 1])


def shared(options: SamplingOptions, *inputs: Tensor) -> Sequence[Tensor]:
    """Inputs of a network (B, ...), with one row in place of equal ones where the options let samples share it.

    At t = 1 all tokens are masked, and samples that were given nothing are the same.
    """
    if not options.share_rows:
        return inputs
    return [rows[:1] if (rows == rows[:1]).all() else rows for rows in inputs]


def fill(
    state: Tensor,
    reveal: Tensor,
    rows: Tensor,
    hidden: Tensor,
    head: nn.Module,
    uniform: Tensor,
    options: SamplingOptions,
) -> Tensor:
    """Draw values at the revealed positions; the head runs on those alone.

    Args:
        state: int64 (B, N), tokens or codes.
        reveal: bool (B, N).
        rows: bool (B,), the samples that ``hidden`` holds; every sample with a reveal is among them.
        hidden: (rows, N, d), or (1, N, d) where they share it.
        head: to logits.
        uniform: (B, N) draws in (0, 1).
        options: temperature and precision.
    Returns:
        A new state.
    """
    if len(hidden) > 1:
        return state.masked_scatter(reveal, draw(head, hidden[reveal[rows]], uniform[reveal], options))
    # One distribution per position, from which every sample draws.
    positions = reveal.any(dim=0)
    values = state.clone()
    values[:, positions] = draw(head, hidden[0, positions], uniform[:, positions].T, options).T
    return torch.where(reveal, values, state)


def draw(head: nn.Module, hidden: Tensor, uniform: Tensor, options: SamplingOptions) -> Tensor:
    """Draws behind a head from hidden states (M, d), see `draw_categorical`; a large head runs on some at a time."""
    outputs = head.out_features if isinstance(head, nn.Linear) else hidden.shape[-1]
    parts = parts_of(len(hidden), outputs)
    categorical = partial(draw_categorical, temperature=options.temperature, precision=options.precision)
    pairs = zip(hidden.tensor_split(parts), uniform.tensor_split(parts), strict=True)
    drawn = [categorical(head(h), u) for h, u in pairs]
    return drawn[0] if parts == 1 else torch.cat(drawn)


def latent_noise(noise: SampleNoise, step: Step, shape: tuple[int, int], eta: float) -> Tensor | None:
    """Fresh noise (B, L, w) of a DDIM step; None where eta is 0, which needs none."""
    return noise.normal("latent", step.index, *shape) if eta > 0 else None


def position_uniform(noise: SampleNoise, name: str, state: Tensor, step: int = 0) -> Tensor:
    """One uniform draw per position of the state, (B, N)."""
    return noise.uniform(name, step, state.shape[1])


def reveal_uniform(noise: SampleNoise, name: str, state: Tensor, step: Step) -> Tensor:
    """The draws (B, N) that decide what a step reveals of a masked channel, "token" or "code".

    They have one name in all samplers: models and schedules on one grid then reveal the same positions at the same
    steps, and what differs between them is not the noise.
    """
    return position_uniform(noise, f"{name}_reveal", state, step.index)
