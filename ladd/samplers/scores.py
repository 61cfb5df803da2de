"""Exact likelihoods of samplers whose order of positions follows from what is revealed, without a draw of its own.

Such a sampler takes a sequence x along one path: in every state that x leads through, the network says which positions
come next, and their tokens are drawn independently of each other. So

    log p(x) = sum over steps, and over positions i that the step reveals, of log p(x_i | what is revealed before),

and the sum of p over all sequences is 1, for any network and any number of steps ("DUEL", deterministic unmasking;
`surest-first` and `semi-autoregressive` without `spread`, and `entropy-bounded`). It is the likelihood of what the
sampler draws, its temperature and truncation included, and not that of the diffusion, whose order is random.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ladd.diffusion.noise import SampleNoise
from ladd.diffusion.process import Prediction, Step
from ladd.errors import SamplingError
from ladd.samplers.base import Sampler, State
from ladd.samplers.drawing import draw_scored, log_probability
from ladd.samplers.entropy_bounded import EntropyBounded
from ladd.samplers.order import Ordered
from ladd.samplers.sources import PairSource, TokenSource
from ladd.samplers.tokens import TokenSampler

SCORED: tuple[type[TokenSampler], ...] = (Ordered, EntropyBounded)  # whose order follows from what is revealed


@torch.no_grad()
def scores(
    sampler: Sampler, x: Tensor, *, given: Tensor | None = None, latents: Tensor | None = None, batch: int = 512
) -> Tensor:
    """log p(x) under a sampler, nats per sequence, float64 (n,); -inf where it cannot draw x.

    Args:
        sampler: a token sampler with a deterministic order; or one that draws latents first, with such a token sampler
            inside: then it is log p(x | latents).
        x: int64 (n, N), in [0, V).
        given: bool (N,) or (n, N), tokens that the sampler is given; their probability is not counted. None: no token.
        latents: clean ones, (n, L) codes or (n, L, w), where the source has them.
        batch: sequences at a time; it does not change the values but for rounding.
    Raises:
        SamplingError: the order of the sampler is random, or latents are missing or too many.
    """
    tokens = _token_sampler(sampler, latents)
    mask_id = tokens.process.mask_id
    start = torch.full_like(x, mask_id) if given is None else torch.where(given, x, mask_id)
    parts = []
    for rows in torch.arange(len(x), device=x.device).split(batch):
        z = None if latents is None else latents[rows]
        parts.append(_log_probability(tokens, sampler.source, x[rows], start[rows], z))
    return torch.cat(parts)


def has_scores(sampler: Sampler) -> bool:
    """Whether `scores` is defined: the order of its positions follows from what is revealed."""
    return isinstance(sampler, SCORED) and not getattr(sampler, "spread", 0.0)


def _token_sampler(sampler: Sampler, latents: Tensor | None) -> TokenSampler:
    tokens: Any = getattr(sampler, "token_sampler", sampler)
    if not has_scores(tokens):
        raise SamplingError(
            f"{tokens.name!r} has no exact likelihood: its order is random; take surest-first or semi-autoregressive "
            "with spread 0, or entropy-bounded"
        )
    paired = isinstance(sampler.source, PairSource)
    if paired and (sampler.latents_at != "clean" or latents is None):
        raise SamplingError(
            f"{sampler.name!r}: tokens have an exact likelihood given clean latents alone; take a sampler that draws "
            "latents first, and name the latents of every sequence"
        )
    if not paired and latents is not None:
        raise SamplingError(f"{sampler.name!r} draws tokens without latents; leave latents out")
    return tokens  # type: ignore[no-any-return]


def _log_probability(
    sampler: TokenSampler, source: TokenSource | PairSource, x: Tensor, start: Tensor, z: Tensor | None
) -> Tensor:
    """log p (B,) of sequences that begin as start (B, N), by walking each along its own path."""
    noise = SampleNoise(0, torch.arange(len(x), device=x.device))  # of draws that are thrown away
    state = sampler.initialise(start, noise)
    total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for step in sampler.steps(start):
        wanted = sampler.wanted(state, step)
        rows = wanted.any(dim=1)
        if not rows.any():
            continue
        t = sampler.times(state, step, wanted)[rows]
        prediction = _ask(source, state.tokens[rows], None if z is None else z[rows], t)._replace(rows=rows)
        after = sampler.move(state, step, wanted, prediction)
        revealed = sampler.masked(state) & ~sampler.masked(after)
        total += _of_step(sampler, prediction, revealed, x)
        state = replace(after, tokens=torch.where(revealed, x, state.tokens))
    _check_whole(sampler, state, step)
    return total


def _ask(source: TokenSource | PairSource, x: Tensor, z: Tensor | None, t: Tensor) -> Prediction:
    return source.predict(x, t) if isinstance(source, TokenSource) else source.predict(x, z, t, torch.zeros_like(t))[0]  # type: ignore[arg-type]


def _of_step(sampler: TokenSampler, prediction: Prediction, revealed: Tensor, x: Tensor) -> Tensor:
    """Log probability (B,) of the tokens that a step reveals, as they are drawn."""
    if not revealed.any():
        return torch.zeros(len(x), dtype=torch.float64, device=x.device)
    drawn = draw_scored(
        prediction,
        revealed,
        x,
        torch.full(x.shape, 0.5, dtype=torch.float64, device=x.device),
        sampler.draw_settings,
        truncation=sampler.truncation,
        law=lambda log_p, _: log_p.log_softmax(dim=-1),  # truncated and normalised again, as it is drawn from
        score=lambda log_p, current, _: log_probability(log_p, current),
    )
    return torch.zeros(x.shape, dtype=torch.float64, device=x.device).masked_scatter(revealed, drawn.scores).sum(dim=1)


def _check_whole(sampler: TokenSampler, state: State, step: Step) -> None:
    if sampler.masked(state).any():
        raise SamplingError(f"{sampler.name!r} leaves masks at t = {float(step.s):g}; its grid must reach 0")
