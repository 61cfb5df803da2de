"""Guidance of tokens by their latents, and latents at the norm that they were trained at.

With weight w the tokens are drawn from p(x_0 | x_t, z)^w p(x_0 | x_t)^(1 - w), normalised (classifier-free guidance, Ho
and Salimans, 2022; between two times, Kynkaanniemi et al., 2024). The law without latents is that of the same network
under the null latents that it was trained on: codes that are all masked, at t_z = 1; vectors that are 0, at t_z = 0,
which training knows where `latent_channel.dropout` is above 0. Whether a masked position is revealed does not depend on
its token, so this is guidance of the reverse step as well. A guided step costs two passes, and is charged for both.
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
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.process import Prediction, Step
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


def guided_source(source: PairSource, weight: float, between: list[float]) -> PairSource:
    """The source whose token predictions are guided by its latents."""

    def predict(x: Tensor, z: Tensor, t_x: Tensor, t_z: Tensor) -> tuple[Prediction, Prediction]:
        told, latents = source.predict(x, z, t_x, t_z)
        active = is_guided(t_x, weight, between)
        if not active.any():
            return told, latents
        null, t_null = null_latents(source, z, t_z)
        untold = source.predict(x[active], null[active], t_x[active], t_null[active])[0].hidden
        if active.all():  # one row may stand for all
            count = max(len(told.hidden), len(untold))
            hidden = torch.cat([each.expand(count, *each.shape[1:]) for each in (told.hidden, untold)], dim=-1)
        else:
            whole = told.hidden.expand(len(x), *told.hidden.shape[1:])
            other = whole.clone()  # of equal laws guidance makes the same law
            other[active] = untold.to(other.dtype)
            hidden = torch.cat([whole, other], dim=-1)
        outputs = source.tokens.process.vocabulary  # type: ignore[attr-defined]
        return Prediction(hidden, GuidedHead(told.head, outputs, weight), told.rows), latents

    return replace(source, predict=predict)


def is_guided(t: Tensor, weight: float, between: list[float]) -> Tensor:
    """Whether a pass at token times t is made twice, bool of the same shape."""
    low, high = between
    return (low <= t) & (t <= high) & (weight != 1)


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


def _charged(state: State, after: State, guided: Callable[[], Tensor]) -> State:
    """A state whose passes of this step count twice where the step was guided."""
    made = after.token_passes - state.token_passes
    return replace(after, token_passes=after.token_passes + made * guided()) if made.any() else after


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
        source = guided_source(self.source, self.guidance, self.between)
        return _unguided(self, LatentsFirst, source)  # type: ignore[no-any-return]

    def update(self, state: State, step: Step) -> State:
        if left := state.memory.latent_steps:
            after = super().update(state, step)
            return self._at_norm(after) if left == 1 else after
        after = self._inner.update(state, step)
        return _charged(state, after, lambda: is_guided(self._times(state, step), self.guidance, self.between))

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
    """`latents-along` with guidance of its tokens; latents are predicted as they are without.

    Attributes:
        guidance: w.
        between: [low, high], token times with that w.
    """

    name: ClassVar[str] = "latents-along-guided"
    Settings: ClassVar[type[SweepConfig]] = GuidedSettings
    guidance: float = 1.0
    between: Any = (0.0, 1.0)

    @cached_property
    def _inner(self) -> LatentsAlong:
        source = guided_source(self.source, self.guidance, self.between)
        return _unguided(self, LatentsAlong, source)  # type: ignore[no-any-return]

    def update(self, state: State, step: Step) -> State:
        after = self._inner.update(state, step)
        return _charged(state, after, lambda: is_guided(step.t, self.guidance, self.between))
