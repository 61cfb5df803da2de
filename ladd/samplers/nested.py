"""A token sampler as a part of another sampler, which makes its passes (docs/samplers.md)."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import SerializeAsAny, ValidatorFunctionWrapHandler, WrapValidator
from torch import Tensor

from ladd.config.blocks import Temperature
from ladd.config.evaluation import SweepConfig
from ladd.diffusion.process import Prediction
from ladd.registry import discover, find
from ladd.samplers.base import Sampler
from ladd.samplers.sources import TokenSource
from ladd.samplers.tokens import TokenOptions, TokenSampler

PACKAGE = "ladd.samplers"


def _nested(values: Any, _: ValidatorFunctionWrapHandler) -> TokenOptions:
    if isinstance(values, TokenOptions):
        return values
    known = {name: each for name, each in discover(PACKAGE, Sampler).items() if issubclass(each, TokenSampler)}
    name = values.get("schedule") if isinstance(values, dict) else None
    if name not in known:
        raise ValueError(f"write {{schedule: NAME, ...}} with the name of a token sampler; known are {sorted(known)}")
    return known[name].Nested.model_validate(values)


class NestedSettings(SweepConfig):
    """A sweep whose tokens are drawn by a token sampler."""

    tokens: Annotated[SerializeAsAny[TokenOptions], WrapValidator(_nested)]  # its name as `schedule`, and its settings
    latent_temperature: Temperature | None = None  # of codes; null: that of the tokens

    @property
    def token_sampler(self) -> type[TokenSampler]:
        """Its class."""
        return token_sampler(self.tokens.model_dump())

    @property
    def parts(self) -> tuple[type[Sampler], ...]:
        """Samplers that are found by name besides the sweep's own."""
        return (self.token_sampler,)


def token_sampler(tokens: dict[str, Any]) -> type[TokenSampler]:
    """The class of a nested token sampler from its settings."""
    return find(PACKAGE, Sampler, tokens["schedule"], "tokens.schedule")


def token_part(outer: Any) -> TokenSampler:
    """The token sampler of an outer one with the settings of both.

    Args:
        outer: with `tokens`, and what all samplers of tokens read.
    """
    tokens = outer.tokens.model_dump() if isinstance(outer.tokens, TokenOptions) else outer.tokens
    shared = {name: getattr(outer, name) for name in ("token_steps", "token_lag", "temperature", "precision")}
    return token_sampler(tokens).of(TokenSource(outer.source.tokens, _asked_by_the_outer), shared | tokens)  # type: ignore[return-value]


def _asked_by_the_outer(x: Tensor, t: Tensor) -> Prediction:
    raise AssertionError("a nested token sampler makes no passes")
