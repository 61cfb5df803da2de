"""Samplers whose own settings have defaults, so that a sweep may leave them out, also where it names no sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ladd.samplers.base import Sampler


class DefaultSampler(Sampler):
    """Takes the defaults of its fields for settings that a sweep does not have."""

    @classmethod
    def of(cls, source: Any, settings: Mapping[str, Any]) -> Sampler:
        return cls(source=source, **{name: settings[name] for name in cls.options() if name in settings})
