"""How a task draws its samples on the page of samples, where it can."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple


class Picture(NamedTuple):
    """Of one sample."""

    svg: str  # an <svg> element, or "" where there is nothing to draw
    note: str  # a few words under it
    good: bool  # whether it is what the data have, such as a valid molecule


class Pictured(ABC):
    """A task that draws its samples; the page of samples asks for it, and shows text alone of all others."""

    @abstractmethod
    def picture(self, text: str) -> Picture:
        """Of a decoded sample."""
