"""Latent diffusion with a terminal decoder: latents are drawn by their prior, and one pass makes all tokens of them.

So do TEncDM (Shabalin et al., 2025), COSMOS (Meshchaninov et al., 2025) and, with a decoder that is autoregressive,
LD4LG (Lovelace et al., 2023). It is `sequential` with one token step, and the likeliest tokens in place of draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.heads import parts_of
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import Sampler, State, reverse_tokens, start_state, time_grid
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import PriorSource, Stream


@dataclass(frozen=True)
class DecodedSource:
    """Latents and their decoder.

    Attributes:
        tokens: their stream; the process is masked.
        prior: that draws latents.
        decode: z (M, L, w) -> prediction of all tokens.
    """

    tokens: Stream
    prior: PriorSource
    decode: Callable[[Tensor], Prediction]


class DecodedSweep(SweepConfig):
    """A sweep with the settings of the sampler."""

    decoding: Literal["argmax", "draw"] = "argmax"  # of the likeliest tokens, or by a draw of each


@dataclass(frozen=True, kw_only=True)
class Decoded(DefaultSampler):
    """K steps of the latents by the prior, and one pass of the decoder.

    Attributes:
        token_steps: K, of the latents: there are no others.
        eta: stochasticity of these steps, in [0, 1].
        decoding: "argmax" or "draw".
    """

    name: ClassVar[str] = "decoded"
    meaning: ClassVar[str] = "the latents are drawn first, then one pass makes all tokens of them"
    takes: ClassVar[type] = DecodedSource
    Settings: ClassVar[type[SweepConfig]] = DecodedSweep
    line: ClassVar[Any] = (0, (6, 2, 1, 2))
    markers: ClassVar[str] = "hXdP*s"

    source: DecodedSource
    token_steps: int
    eta: float = 0.0
    decoding: str = "argmax"

    def steps(self, start: Tensor) -> Iterator[Step]:
        """Those of the latents, and one of the tokens."""
        yield from time_grid(self.token_steps, start.device)
        yield from time_grid(1, start.device)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        state = start_state(start, noise, self.source.tokens, self.source.prior.latents)
        return replace(state, memory=self.token_steps)  # latent steps that are left

    def update(self, state: State, step: Step) -> State:
        if state.memory:
            return replace(prior_step(self, self.source.prior, state, step), memory=state.memory - 1)
        z = state.latents
        assert z is not None
        if self.decoding == "draw":
            return reverse_tokens(self, state, step, self.source.tokens, lambda rows, t: self.source.decode(z[rows]))
        rows = state.free.any(dim=1)
        tokens = state.tokens.clone()
        tokens[rows] = likeliest(self.source.decode(z[rows]))
        tokens = torch.where(state.free, tokens, state.tokens)
        return replace(state, tokens=tokens, token_passes=state.token_passes + rows)


def prior_step(sampler: Sampler, prior: PriorSource, state: State, step: Step) -> State:
    """A reverse step of the latents alone."""
    process, z = prior.latents.process, state.latents
    assert z is not None
    draws, rows = state.draws[prior.latents.name].at(step.index), torch.ones(len(z), dtype=torch.bool, device=z.device)
    wanted = process.wanted(z, step, draws)
    predicted = prior.predict(z, step.t.expand(len(z)))._replace(rows=rows)
    z = process.reverse(z, wanted, predicted, step, draws, sampler.draw_settings)
    return replace(state, latents=z, latent_passes=state.latent_passes + 1)


def likeliest(prediction: Prediction) -> Tensor:
    """Tokens int64 (M, N) of a prediction, a large head on some positions at a time."""
    head, hidden = prediction.head, prediction.hidden
    outputs = head.out_features if isinstance(head, nn.Linear) else hidden.shape[-1]
    flat = hidden.flatten(0, 1)
    found = [head(rows).argmax(dim=-1) for rows in flat.tensor_split(parts_of(len(flat), outputs))]
    return torch.cat(found).view(hidden.shape[:-1])
