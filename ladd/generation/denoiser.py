"""A denoiser of one's own, or any source of draws, in any sampler: no suite, no trained model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.errors import ConfigError, nearest
from ladd.generation.draw import Drawn, draw_in_batches
from ladd.registry import discover
from ladd.samplers.base import Callback, Sampler, check_unmasked
from ladd.samplers.sources import NextTokenSource, PairSource, Stream, TokenSource

Denoiser = Callable[[Tensor, Tensor], Tensor]  # x int64 (B, N) with V where masked, t (B,) -> logits (B, N, V)
STEPS = "token_steps"


def sample(
    denoiser: Denoiser | TokenSource | PairSource | NextTokenSource,
    n: int = 1,
    *,
    steps: int = 8,
    sampler: str | None = None,
    seed: int = 0,
    tokens: int | None = None,
    vocabulary: int | None = None,
    given: Any = None,
    batch: int = 512,
    callback: Callback | None = None,
    **settings: Any,
) -> Drawn:
    """Samples of a denoiser of one's own.

    Args:
        denoiser: a function of tokens x int64 (B, N), V where masked, and times (B,), to logits (B, N, V): masked
            diffusion with the linear schedule. Or a source of `ladd.samplers.sources`: any process, tokens with
            latents, or tokens from left to right.
        n: samples; sample i depends on (seed, i) and on no other.
        steps: token steps, for samplers that have a budget.
        sampler: name of a module of `ladd.samplers`, or of the folder of a suite; None for the first that can draw
            from such a source.
        seed: of the noise.
        tokens, vocabulary: N and V; a source with a stream of tokens brings its own.
        given: int64 (N,) or (n, N), V or -1 where a token is to be drawn; None draws all.
        batch: samples at a time, which does not change them.
        callback: called with every step and the state after it, of one batch after the other.
        settings: of the sampler, by the names of its fields, such as temperature or latent_steps.
    Raises:
        ConfigError: no such sampler, setting or size.
        SamplingError: a sample still holds the mask, or the denoiser gives no distribution.
    """
    source, tokens, vocabulary = _source(denoiser, tokens, vocabulary)
    kind = _kind(source, sampler)
    asked = {**({STEPS: steps} if STEPS in kind.options() else {}), **settings}
    if unknown := sorted(asked.keys() - set(kind.options())):
        raise ConfigError(
            f"{unknown[0]}: sampler {kind.name!r} takes no such setting{nearest(unknown[0], kind.options())}; it takes "
            f"{list(kind.options())}"
        )
    try:
        chosen = kind(source=source, **asked)
    except TypeError as error:  # one without a default is missing
        raise ConfigError(f"sampler {kind.name!r} needs more settings: {error}") from None
    starts = starting_tokens(given, n, tokens, vocabulary)
    samples = draw_in_batches(chosen, starts, seed, batch, callback)
    check_unmasked(samples.tokens, vocabulary, f"sampler {kind.name!r}")
    return Drawn.of(samples)


def starting_tokens(given: Any, n: int, tokens: int, vocabulary: int) -> Tensor:
    """Tokens that n samples start from, int64 (n, N), V where one is to be drawn.

    Args:
        given: ids (m,) of all samples, or (n, m) of each, m <= N, V or -1 where a token is to be drawn; None for none.
        n, tokens, vocabulary: sizes; tokens behind the m-th are drawn.
    Raises:
        ConfigError: another shape, or an id beyond [-1, V].
    """
    starts = torch.full((n, tokens), vocabulary)
    if given is None:
        return starts
    ids = torch.as_tensor(given)
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ConfigError(f"given: ids are whole numbers, not {ids.dtype}")
    if ids.dim() not in (1, 2) or ids.shape[-1] > tokens or (ids.dim() == 2 and len(ids) != n):
        raise ConfigError(
            f"given: ids of shape {tuple(ids.shape)}; write at most N = {tokens}, or n = {n} rows of them"
        )
    if ids.numel() and not -1 <= int(ids.min()) <= int(ids.max()) <= vocabulary:
        raise ConfigError(f"given: ids from {ids.min()} to {ids.max()}; V = {vocabulary} ids begin at 0, -1 is a gap")
    starts[:, : ids.shape[-1]] = torch.where(ids == -1, vocabulary, ids.long()).cpu()
    return starts


def _source(denoiser: Any, tokens: int | None, vocabulary: int | None) -> tuple[Any, int, int]:
    """Source, N and V."""
    if isinstance(denoiser, TokenSource | PairSource):
        stream = denoiser.tokens
        return denoiser, stream.shape[0], stream.process.vocabulary  # type: ignore[attr-defined]
    vocabulary = getattr(denoiser, "vocabulary", vocabulary)
    if tokens is None or vocabulary is None:
        raise ConfigError(
            f"tokens = {tokens}, vocabulary = {vocabulary}: give both, the length N and the number of ids V"
        )
    if isinstance(denoiser, NextTokenSource):
        return denoiser, tokens, vocabulary
    head = nn.Identity()  # what the denoiser gives are logits already
    process = MaskedProcess(DISCRETE_SCHEDULES["linear"], vocabulary)

    def predict(x: Tensor, t: Tensor) -> Prediction:
        return Prediction(denoiser(x, t), head)

    return TokenSource(Stream(process, "token", (tokens,)), predict), tokens, vocabulary


def _kind(source: Any, name: str | None) -> type[Sampler]:
    """The sampler of that name, or the first that can draw from a source."""
    known = discover("ladd.samplers", Sampler)
    fitting = [each for each, kind in known.items() if isinstance(source, kind.takes)]
    if name is None:
        return known[fitting[0]]
    if name not in fitting:
        why = "does not draw from such a source" if name in known else f"is unknown{nearest(name, known)}"
        raise ConfigError(f"sampler {name!r} {why}; those that do are {fitting}")
    return known[name]
