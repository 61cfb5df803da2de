"""Guidance of tokens by their latents and of latents by their tokens, and latents at the norm they were trained at.

With weight w the tokens are drawn from p(x_0 | x_t, z)^w p(x_0 | x_t)^(1 - w), normalised (classifier-free guidance, Ho
and Salimans, 2022; between two times, Kynkaanniemi et al., 2024). The law without latents is that of the same network
under the null latents that it was trained on: codes that are all masked, at t_z = 1; vectors that are 0, at t_z = 0,
which training knows where `latent_channel.dropout` is above 0. Whether a masked position is revealed does not depend on
its token, so this is guidance of the reverse step as well. Codes that go along with tokens are drawn from
p(z_0 | x_t, z_t)^w p(z_0 | z_t)^(1 - w), and of vectors the two means are combined so; the law without tokens is that
at t_x = 1, with all of them masked. A guided step costs two passes, or three for both, and is charged for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ladd.config.blocks import Range
from ladd.config.evaluation import SweepConfig
from ladd.diffusion.gaussian import GaussianProcess
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.process import Prediction, Process, Step
from ladd.errors import SamplingError
from ladd.samplers.base import State
from ladd.samplers.latents_along import LatentsAlong
from ladd.samplers.latents_first import LatentsFirst
from ladd.samplers.nested import NestedSettings
from ladd.samplers.sources import PairSource

LEAST = -745.0  # log of the smallest positive float64: what the law without latents counts as at least


class GuidedSettings(NestedSettings):
    guidance: Annotated[float, Field(ge=0, le=100)] = 1.0  # w; 1 is none, 0 leaves the latents out
    between: Range = Field(default=[0.0, 1.0])  # token times with that w; it is 1 at all others

    @model_validator(mode="after")
    def _check_between(self) -> GuidedSettings:
        if self.between[0] > self.between[1]:
            raise ValueError(f"between {self.between} must be [low, high] with low <= high")
        return self


class GuidedAlongSettings(GuidedSettings):
    latent_guidance: Annotated[float, Field(ge=0, le=100)] = 1.0  # w of the latents; 1 is none, 0 leaves the tokens out


class GuidedFirstSettings(GuidedSettings):
    # Norm that every latent vector is given before tokens see it: what training had, sqrt(w) with unit_variance, else
    # 1. DDIM steps end at means, which are shorter. null: as they were drawn.
    latent_norm: Annotated[float, Field(gt=0, le=1e4)] | None = None


class GuidedHead(nn.Linear):
    """Two hidden states side by side, (m, 2d), to guided log probabilities float64 (m, V); without weights of its own.

    Args:
        head: of both, (m, d) -> logits (m, V).
        outputs: V.
        weight: w, of the first.
    """

    def __init__(self, head: nn.Module, outputs: int, weight: float):
        super().__init__(1, outputs, bias=False, device="meta")
        self.head, self.guidance = head, weight

    def forward(self, hidden: Tensor) -> Tensor:
        told, untold = (self.head(part).double().log_softmax(dim=-1) for part in hidden.chunk(2, dim=-1))
        guided = self.guidance * told + (1 - self.guidance) * untold.clamp(min=LEAST)
        # What is impossible given the latents stays so; 0 x -inf and -inf + inf would be NaN.
        return guided.masked_fill(told.isneginf(), -torch.inf) if self.guidance > 0 else untold


class GuidedVectors(nn.Module):
    """Two hidden states side by side, (..., 2d), to the combined vectors (..., w); without weights of its own."""

    def __init__(self, head: nn.Module, weight: float):
        super().__init__()
        self.head, self.guidance = head, weight

    def forward(self, hidden: Tensor) -> Tensor:
        told, untold = (self.head(part) for part in hidden.chunk(2, dim=-1))
        return self.guidance * told + (1 - self.guidance) * untold  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Guidance:
    """Weights, and the token times with them.

    Attributes:
        tokens, latents: w; 1 is none.
        between: [low, high].
    """

    tokens: float
    latents: float
    between: list[float]

    def is_active(self, t: Tensor) -> Tensor:
        """Whether tokens at times t are within the interval, bool of the same shape."""
        low, high = self.between
        return (low <= t) & (t <= high)

    def more_passes(self, t: Tensor) -> Tensor:
        """Passes besides the plain one that a step at token times t makes."""
        return self.is_active(t) * ((self.tokens != 1) + (self.latents != 1))


def guided_source(source: PairSource, guidance: Guidance) -> PairSource:
    """The source whose predictions are guided."""

    def predict(x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor) -> tuple[Prediction, Prediction]:
        tokens, latents = source.predict(x, z, t_x, t_z)
        active = guidance.is_active(t_x)
        if guidance.tokens != 1 and active.any():
            null, t_null = null_latents(source, z, t_z)
            untold = source.predict(x[active], null[active], t_x[active], t_null[active])[0].hidden
            tokens = _guided(tokens, untold, active, _head(source.tokens.process, tokens.head, guidance.tokens))
        if guidance.latents != 1 and active.any():
            masked, ones = torch.full_like(x, source.tokens.process.mask_id), torch.ones_like(t_x)  # type: ignore[attr-defined]
            untold = source.predict(masked[active], z[active], ones[active], t_z[active])[1].hidden
            latents = _guided(latents, untold, active, _head(source.latents.process, latents.head, guidance.latents))
        return tokens, latents

    return replace(source, predict=predict)


def _head(process: Process, head: nn.Module, weight: float) -> nn.Module:
    """Of vectors, or of tokens and codes, whatever their noise."""
    vectors = isinstance(process, GaussianProcess)
    return GuidedVectors(head, weight) if vectors else GuidedHead(head, process.vocabulary, weight)  # type: ignore[attr-defined]


def _guided(told: Prediction, untold: Tensor, active: Tensor, head: nn.Module) -> Prediction:
    """Both hidden states side by side; where guidance is not active the first twice: equal laws make the same law."""
    if active.all():  # one row may stand for all
        count = max(len(told.hidden), len(untold))
        hidden = torch.cat([each.expand(count, *each.shape[1:]) for each in (told.hidden, untold)], dim=-1)
    else:
        whole = told.hidden.expand(len(active), *told.hidden.shape[1:])
        other = whole.clone()
        other[active] = untold.to(other.dtype)
        hidden = torch.cat([whole, other], dim=-1)
    return Prediction(hidden, head, told.rows)


def null_latents(source: PairSource, z: Tensor, t_z: Tensor) -> tuple[Tensor, Tensor]:
    """Latents that say nothing, of the shape of z, and their times."""
    process = source.latents.process
    if isinstance(process, MaskedProcess):
        return torch.full_like(z, process.mask_id), torch.ones_like(t_z)
    return torch.zeros_like(z), torch.zeros_like(t_z)


def _unguided(sampler: Any, base: type, source: PairSource) -> Any:
    """The sampler that another one is but for its guidance, drawing from another source."""
    return base(
        source=source, **{each.name: getattr(sampler, each.name) for each in fields(base) if each.name != "source"}
    )


def _charged(state: State, after: State, more: Callable[[], Tensor]) -> State:
    """A state that is charged for more passes for every one of this step."""
    made = after.token_passes - state.token_passes
    return replace(after, token_passes=after.token_passes + made * more()) if made.any() else after


@dataclass(frozen=True, kw_only=True)
class LatentsFirstGuided(LatentsFirst):
    """`latents-first` with guidance in its second half.

    Attributes:
        guidance: w.
        between: [low, high], token times with that w.
        latent_norm: of the vectors that tokens see; None leaves them.
    """

    name: ClassVar[str] = "latents-first-guided"
    Settings: ClassVar[type[SweepConfig]] = GuidedFirstSettings
    guidance: float = 1.0
    between: Any = (0.0, 1.0)
    latent_norm: float | None = None

    def __post_init__(self) -> None:
        if self.latent_norm is not None and isinstance(self.source.latents.process, MaskedProcess):
            raise SamplingError(f"latent_norm {self.latent_norm}: the latents of this model are codes; leave it null")

    @cached_property
    def _inner(self) -> LatentsFirst:
        return _unguided(self, LatentsFirst, guided_source(self.source, self.weights))  # type: ignore[no-any-return]

    @property
    def weights(self) -> Guidance:
        """Latents that come first are drawn without tokens, and so are not guided by them."""
        return Guidance(self.guidance, 1.0, self.between)

    def update(self, state: State, step: Step) -> State:
        if left := state.memory.latent_steps:
            after = super().update(state, step)
            return self._at_norm(after) if left == 1 else after
        after = self._inner.update(state, step)
        return _charged(state, after, lambda: self.weights.more_passes(self._times(state, step)))

    def _times(self, state: State, step: Step) -> Tensor:
        """That samples are asked at, (B,); samplers of tokens may take each through times of its own."""
        sampler, state = self.token_sampler, replace(state, memory=state.memory.tokens)
        return sampler.times(state, step, sampler.wanted(state, step))

    def _at_norm(self, state: State) -> State:
        if self.latent_norm is None:
            return state
        z = state.latents
        assert z is not None
        return replace(state, latents=self.latent_norm * nn.functional.normalize(z, dim=-1))


@dataclass(frozen=True, kw_only=True)
class LatentsAlongGuided(LatentsAlong):
    """`latents-along` with guidance of tokens, latents or both.

    Attributes:
        guidance: w of the tokens.
        latent_guidance: w of the latents.
        between: [low, high], token times with these w.
    """

    name: ClassVar[str] = "latents-along-guided"
    Settings: ClassVar[type[SweepConfig]] = GuidedAlongSettings
    guidance: float = 1.0
    latent_guidance: float = 1.0
    between: Any = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.latent_guidance != 1 and not isinstance(self.source.tokens.process, MaskedProcess):
            raise SamplingError(
                f"latent_guidance {self.latent_guidance}: the tokens of this model are never masked, so it knows no "
                f"latents without tokens; leave it 1"
            )

    @property
    def weights(self) -> Guidance:
        """Of both streams."""
        return Guidance(self.guidance, self.latent_guidance, self.between)

    @cached_property
    def _inner(self) -> LatentsAlong:
        return _unguided(self, LatentsAlong, guided_source(self.source, self.weights))  # type: ignore[no-any-return]

    def update(self, state: State, step: Step) -> State:
        after = self._inner.update(state, step)
        return _charged(state, after, lambda: self.weights.more_passes(step.t))
