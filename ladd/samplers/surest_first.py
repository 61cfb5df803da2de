"""Adaptive order: in each step the positions are revealed of which the network is surest (Kim et al., 2025; LLaDA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ladd.samplers.order import Ordered


@dataclass(frozen=True, kw_only=True)
class SurestFirst(Ordered):
    """All masked positions compete."""

    name: ClassVar[str] = "surest-first"
