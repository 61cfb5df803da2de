"""Arguments of commands: numbers with their bounds, lists with commas, folders of suites."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ladd.config.messages import cut
from ladd.errors import ConfigError

MOST = 2**31 - 1
DIGITS = 20  # of a whole number, its sign among them


def whole(least: int, most: int = MOST) -> Callable[[str], int]:
    """A reader of whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        if len(text) > DIGITS:
            raise argparse.ArgumentTypeError(f"{text[:DIGITS]}... is too long for a whole number")
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value} must be at least {least}")
        if value > most:
            raise argparse.ArgumentTypeError(f"{value} must be at most {most}")
        return value

    read.__name__ = "whole number"  # in the message for what is no number
    return read


def number(least: float | None = None, most: float | None = None, *, above: float | None = None) -> Any:
    """A reader of finite numbers from ``least`` to ``most``, or above ``above``."""

    def read(text: str) -> float:
        value = float(text)
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"{text[:DIGITS]} must be finite")
        if least is not None and not value >= least:
            raise argparse.ArgumentTypeError(f"{text} must be at least {least:g}")
        if most is not None and not value <= most:
            raise argparse.ArgumentTypeError(f"{text} must be at most {most:g}")
        if above is not None and not value > above:
            raise argparse.ArgumentTypeError(f"{text} must be above {above:g}")
        return value

    read.__name__ = "number"
    return read


def check_suite_folder(folder: str | Path) -> None:
    """Refuse what is no folder. Raises ConfigError: naming the option."""
    if not os.path.isdir(folder):  # of Path, it raises over a name that is too long
        raise ConfigError(f"--suite: {cut(str(folder))} is no folder; name one that has a params.yaml")


def names(text: str) -> list[str]:
    """Words between commas."""
    return [word.strip() for word in text.split(",") if word.strip()]


def wholes(text: str) -> list[int]:
    """Whole numbers between commas."""
    return [int(word) for word in names(text)]
