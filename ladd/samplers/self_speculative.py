"""Sampler of self-speculative masked diffusion: draft and verify (Campbell et al., 2026, arXiv 2510.03929).

Positions are drawn along a random order. One pass of the bidirectional blocks drafts the next window of tokens
independently of each other; one pass of the causal block, on the same hidden states, gives the target law of each token
given those before it. Along the order a drafted token is accepted with probability min(1, target / draft); the first
that is not is drawn from the positive part of target - draft, and the rest of the window is drafted again, by up to
`rounds` passes of the causal block for one of the others. What is accepted is a draw of the target, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ladd.config.blocks import Count
from ladd.config.evaluation import SweepConfig
from ladd.diffusion.heads import draw_categorical
from ladd.diffusion.noise import SampleNoise, StreamNoise
from ladd.diffusion.process import Step
from ladd.samplers.base import State, start_state, time_grid
from ladd.samplers.defaults import DefaultSampler
from ladd.samplers.sources import Stream


@dataclass(frozen=True)
class SpeculativeSource:
    """A draft and its verification.

    Attributes:
        tokens: their stream; the process is masked.
        draft: x int64 (M, N) -> hidden states (M, N, d) by position.
        verify: (those, x int64 (M, N), order int64 (M, N)) -> hidden states (M, N, d) along the order; that of a place
            sees the tokens of the places before it.
        head: hidden states to logits, of both.
    """

    tokens: Stream
    draft: Callable[[Tensor], Tensor]
    verify: Callable[[Tensor, Tensor, Tensor], Tensor]
    head: nn.Module


class SpeculativeSweep(SweepConfig):
    """A sweep with the settings of the sampler."""

    rounds: Count = 4  # passes of the causal block for one of the bidirectional blocks, at most


class Memory(NamedTuple):
    """What is kept from pass to pass."""

    order: Tensor  # int64 (B, N), positions in the order in which they are drawn
    done: Tensor  # int64 (B,), how many are


@dataclass(frozen=True, kw_only=True)
class SelfSpeculative(DefaultSampler):
    """A window has ceil(N / K) tokens, and K windows are drawn; each may take several passes.

    Token passes are those of the bidirectional blocks, latent passes those of the causal block.

    Attributes:
        token_steps: K.
        rounds: as in `SpeculativeSweep`; with as many as a window has tokens, K passes draw all.
    """

    name: ClassVar[str] = "self-speculative"
    meaning: ClassVar[str] = "tokens are drafted at once, and accepted one by one along a random order"
    takes: ClassVar[type] = SpeculativeSource
    Settings: ClassVar[type[SweepConfig]] = SpeculativeSweep

    source: SpeculativeSource
    token_steps: int
    rounds: int = 4

    def steps(self, start: Tensor) -> Iterator[Step]:
        """As many as there are tokens: a pass draws one at least, and a sample that is complete takes none."""
        return time_grid(start.shape[1], start.device)

    def initialise(self, start: Tensor, noise: SampleNoise) -> State:
        state = start_state(start, noise, self.source.tokens)
        uniform = StreamNoise(noise, "order").uniform("", start.shape[1])
        order = (uniform - (~state.free).double()).argsort(dim=1)  # given tokens come first
        return replace(state, memory=Memory(order, (~state.free).sum(dim=1)))

    def update(self, state: State, step: Step) -> State:
        order, done = state.memory
        length = state.tokens.shape[1]
        rows = done < length
        if not rows.any():
            return state
        x, order, before = state.tokens[rows], order[rows], done[rows]
        hidden = self.source.draft(x)
        hidden = hidden.expand(len(x), *hidden.shape[1:])
        draft = self._log_p(along(hidden, order))
        until = (before + -(-length // self.token_steps)).clamp(max=length)
        placed, made, causal = x.gather(1, order), before, torch.zeros_like(before)
        draws = StreamNoise(state.draws[self.source.tokens.name].noise.select(rows), "speculative", step.index)
        for index in range(self.rounds):
            going_on = made < until
            if not going_on.any():
                break
            placed, made = self._round(hidden, draft, placed, order, (made, until), draws, index)
            causal = causal + going_on
        tokens, passes = state.tokens.clone(), state.latent_passes.clone()
        tokens[rows] = x.scatter(1, order, placed)
        done, passes[rows] = done.clone(), passes[rows] + causal
        done[rows] = made
        return replace(
            state,
            tokens=tokens,
            memory=Memory(state.memory.order, done),
            token_passes=state.token_passes + rows,
            latent_passes=passes,
        )

    def _round(
        self,
        hidden: Tensor,
        draft: Tensor,
        placed: Tensor,
        order: Tensor,
        window: tuple[Tensor, Tensor],
        draws: StreamNoise,
        index: int,
    ) -> tuple[Tensor, Tensor]:
        """Draft the rest of the window, verify it, and keep what is accepted.

        Args:
            hidden: of the draft, by position.
            draft: its log law (M, N, V), along the order.
            placed: tokens int64 (M, N) along the order, V where there is none yet.
            order: int64 (M, N).
            window: first place that is not drawn, and the place after the window, both (M,).
        Returns:
            tokens along the order, and how many are drawn.
        """
        made, until = window
        places = torch.arange(placed.shape[1], device=placed.device)
        inside = (places >= made[:, None]) & (places < until[:, None])
        proposed = placed.masked_scatter(
            inside, self._draw(draft[inside], draws.uniform(f"draft{index}", *places.shape)[inside])
        )
        x = torch.empty_like(placed).scatter(1, order, proposed)
        target = self._log_p(self.source.verify(hidden, x, order))
        token = proposed.clamp(max=target.shape[-1] - 1)[..., None]  # beyond the window there is none
        ratio = (target - draft).gather(2, token)[..., 0]
        fits = ~inside | (draws.uniform(f"accept{index}", *places.shape).log() < ratio)
        accepted = fits.long().cumprod(dim=1).bool()
        first = inside & ~accepted & (accepted.sum(dim=1, keepdim=True) == places)
        if first.any():
            rest = (target[first].exp() - draft[first].exp()).clamp_min(0)
            rest = torch.where(rest.sum(dim=1, keepdim=True) > 0, rest, target[first].exp())
            again = self._draw(rest.log(), draws.uniform(f"again{index}", *places.shape)[first])
            proposed = proposed.masked_scatter(first, again)
        kept = accepted | first
        return torch.where(inside & ~kept, placed, proposed), made + (inside & kept).sum(dim=1)

    def _log_p(self, hidden: Tensor) -> Tensor:
        return torch.log_softmax(self.source.head(hidden).double() / self.temperature, dim=-1)

    def _draw(self, log_p: Tensor, uniform: Tensor) -> Tensor:
        return draw_categorical(log_p, uniform, precision=self.precision)


def along(values: Tensor, order: Tensor) -> Tensor:
    """Values (M, N, d) by position in the order int64 (M, N)."""
    return values.gather(1, order[..., None].expand(-1, -1, values.shape[-1]))
