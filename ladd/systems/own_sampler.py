"""Systems with a sampler of their own, which has settings of its own."""

from __future__ import annotations

from typing import Any

from ladd.registry import discover
from ladd.samplers.base import Sampler
from ladd.systems.base import DEFAULT_SAMPLER, System


class SystemWithSampler(System):
    """A sweep may leave its schedule out, for the defaults of the sampler, or name the sampler to set them."""

    @classmethod
    def samplers(cls, settings: Any) -> dict[str, type[Sampler]]:
        fitting = {name: each for name, each in discover("ladd.samplers", Sampler).items() if cls.takes(each)}
        return {DEFAULT_SAMPLER: next(iter(fitting.values())), **fitting}
