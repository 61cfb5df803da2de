"""Sampler of DCD, discrete copula diffusion (Liu et al., 2025, arXiv 2410.01949), from left to right.

A step t -> s makes two passes of the masked denoiser on the tokens so far: p_nc(x_i), which sees all of them, and
p_c(x_i) under a causal mask, which sees those before i. Then positions are drawn from left to right, up to a share
alpha(s) of them, each from

    log p_AR(x_i | x_<i) + strength (log p_nc(x_i) - log p_c(x_i)):

the autoregressive model says how tokens depend on those before, the ratio adds what the denoiser knows of the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from ladd.config.evaluation import SweepConfig
from ladd.diffusion.heads import draw_categorical
from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction, Step
from ladd.samplers.base import State, start_state, time_grid
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import NextTokenSource, Stream


@dataclass(frozen=True)
class CopulaSource:
    """A masked denoiser and an autoregressive model of the same tokens.

    Attributes:
        tokens: their stream; the process is masked.
        predict: (x int64 (M, N), t (M,), causal) -> prediction of the clean tokens.
        next_token: the autoregressive model.
    """

    tokens: Stream
    predict: Callable[[Tensor, Tensor, bool], Prediction]
    next_token: NextTokenSource


class CopulaSweep(SweepConfig):
    """A sweep with the settings of the sampler."""

    strength: Annotated[float, Field(ge=0, le=10)] = 1.0  # of the ratio; 0 is the autoregressive model alone
    # Of the first position: as all others, or from p_nc alone as the authors' code has it.
    first: Literal["copula", "marginal"] = "copula"


class Memory(NamedTuple):
    """What is kept from one position to the next."""

    cache: Any  # of the autoregressive model
    ratio: Tensor | None = None  # (B, N, V), strength (log p_nc - log p_c) of the current step
    marginal: Tensor | None = None  # (B, V), log p_nc of the first position


@dataclass(frozen=True, kw_only=True)
class Copula(DefaultSampler):
    """An update is a pair of passes of the denoiser, or one position of the autoregressive model.

    Token passes are those of the denoiser; those of the autoregressive model, over one position each, are counted as
    latent passes.

    Attributes:
        token_steps: K, pairs of passes.
        token_lag: bends the grid, see `time_grid`; at least 1.
        strength, first: as in `CopulaSweep`.
    """

    name: ClassVar[str] = "dcd"
    meaning: ClassVar[str] = "from left to right, by an autoregressive model that a masked one corrects"
    takes: ClassVar[type] = CopulaSource
    Settings: ClassVar[type[SweepConfig]] = CopulaSweep

    source: CopulaSource
    token_steps: int
    token_lag: float = 1.0
    strength: float = 1.0
    first: str = "copula"

    def steps(self, start: Tensor) -> Iterator[Step]:
        """Each step of the grid, if it reveals a position, and then its positions, whose time stands still.

        The index of a pair of passes is -1 - its place on the grid, that of a position its place in the sequence.
        """
        positions, done = start.shape[1], 0
        for step in time_grid(self.token_steps, start.device, self.token_lag):
            alpha = 1.0 if step.s <= 0 else float(self.source.tokens.process.schedule.alpha(step.s))  # type: ignore[attr-defined]
            until = round(alpha * positions)
            if until > done:
                yield Step(-1 - step.index, step.t, step.s)
                yield from (Step(i, step.s, step.s) for i in range(done, until))
            done = max(done, until)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        return replace(start_state(start, noise, self.source.tokens), memory=Memory(self.source.next_token.cache()))

    def update(self, state: State, step: Step) -> State:
        return self._passes(state, step) if step.index < 0 else self._position(state, step.index)

    def _passes(self, state: State, step: Step) -> State:
        count = len(state.tokens)
        if self.strength == 0 and self.first == "copula":
            return replace(state, memory=Memory(state.memory.cache))
        t = step.t.expand(count)
        full, causal = (self._log_p(self.source.predict(state.tokens, t, flag), count) for flag in (False, True))
        memory = Memory(state.memory.cache, self.strength * (full - causal), full[:, 0])
        return replace(state, memory=memory, token_passes=state.token_passes + 2)

    def _log_p(self, prediction: Prediction, count: int) -> Tensor:
        logits = prediction.head(prediction.hidden).double() / self.temperature
        return torch.log_softmax(logits, dim=-1).expand(count, -1, -1)

    def _position(self, state: State, i: int) -> State:
        model, x, memory = self.source.next_token, state.tokens.clone(), state.memory
        previous = x[:, i - 1 : i] if i else x.new_full((len(x), 1), model.vocabulary)
        hidden = model.network(previous, memory.cache, start=i)[:, 0]
        log_p = torch.log_softmax(model.network.token_head(hidden).double() / self.temperature, dim=-1)
        if i == 0 and self.first == "marginal":
            log_p = memory.marginal
        elif memory.ratio is not None:
            log_p = log_p + memory.ratio[:, i]
        uniform = state.draws[self.source.tokens.name].fixed(x.shape[1])[:, i]
        drawn = draw_categorical(log_p, uniform, precision=self.precision)
        x[:, i] = torch.where(state.free[:, i], drawn, x[:, i])
        return replace(state, tokens=x, latent_passes=state.latent_passes + 1)
