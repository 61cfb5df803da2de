"""Numbers as arguments of commands, with their bounds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers of at least ``least``."""

    def read(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value} must be at least {least}")
        return value

    read.__name__ = "whole number"  # in the message for what is no number
    return read


def number(least: float | None = None, most: float | None = None, *, above: float | None = None) -> Any:
    """A reader of numbers from ``least`` to ``most``, or above ``above``."""

    def read(text: str) -> float:
        value = float(text)
        if least is not None and not value >= least:
            raise argparse.ArgumentTypeError(f"{text} must be at least {least:g}")
        if most is not None and not value <= most:
            raise argparse.ArgumentTypeError(f"{text} must be at most {most:g}")
        if above is not None and not value > above:
            raise argparse.ArgumentTypeError(f"{text} must be above {above:g}")
        return value

    read.__name__ = "number"
    return read
