"""What a check is: parts that are measured one by one, each with named values, and where they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch

from ladd.training import replica

Values = dict[str, Any]  # of JSON; None where this device has no such figure
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Setting:
    """Where the checks run, and at what size.

    Attributes:
        device: that is checked; what it computes is compared with the CPU.
        rehearsal: tiny sizes, a few repeats, and blocks that are traced but not compiled.
    """

    device: torch.device
    rehearsal: bool

    def compiler(self) -> AbstractContextManager[object]:
        """Within it, blocks are compiled by the default compiler; in a rehearsal they are traced and run as they are,
        which takes seconds in place of minutes."""
        return mock.patch.object(replica, "COMPILER", "eager") if self.rehearsal else nullcontext()


@dataclass(frozen=True)
class Part:
    """One thing that is measured.

    Attributes:
        name: unique within the check.
        measure: does it; raises `UnexpectedError` where what it finds is not as it must be.
    """

    name: str
    measure: Callable[[], Values]


@dataclass(frozen=True)
class Check:
    """Parts that belong together.

    Attributes:
        name: short, for the command line.
        title: of its table, with what is wanted.
        share: of the time that all checks have.
        parts: in the order of their importance: where time is short, the last ones are left out.
    """

    name: str
    title: str
    share: float
    parts: Callable[[Setting], Iterable[Part]]


class UnexpectedError(Exception):
    """What was measured is not as it must be.

    Args:
        message: what is wrong, with the limit.
        values: that were measured all the same.
    """

    def __init__(self, message: str, values: Values):
        super().__init__(message)
        self.values = values


def expect(values: Values, **limits: tuple[str, bool]) -> Values:
    """The values, where all that is wanted of them holds.

    Args:
        values: that were measured.
        limits: by any name, what is wanted, in words, and whether it holds.
    Raises:
        UnexpectedError: something does not.
    """
    if wrong := [wanted for wanted, holds in limits.values() if not holds]:
        raise UnexpectedError("wanted: " + "; ".join(wrong), values)
    return values
