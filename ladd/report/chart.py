"""Figures of a page that one can point at: places in percent of a plot, for SVG and HTML that stretch to any width."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MARGIN = 0.05  # of an axis, beyond the data
SHAPES = ("round", "square", "diamond", "ring")  # of marks
MANY = 7  # ticks of a logarithmic axis; with more, fewer of each power of ten


class Axis(NamedTuple):
    """From values to places, with ticks as (place, text)."""

    title: str
    low: float  # at place 0; its logarithm, where log
    high: float  # at place 100
    log: bool
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float) -> float:
        """In percent, rounded to what an eye can tell apart; values that are not positive stand at 0 where log."""
        if self.log:
            value = math.log10(value) if value > 0 else self.low
        return round(100 * (value - self.low) / (self.high - self.low), 2)


class Mark(NamedTuple):
    """A measured value."""

    x: float  # places
    y: float
    low: float  # of its error bar, upwards where the figure is a plot
    high: float
    lines: tuple[str, ...]  # said where one points at it
    strong: bool = False  # has a dark edge


class Series(NamedTuple):
    """Marks of one model, joined in their order."""

    name: str
    colour: str
    dash: str  # of the line, as SVG has it
    shape: str  # of the marks, one of SHAPES
    marks: tuple[Mark, ...]

    @property
    def path(self) -> str:
        """Of the line, as SVG has it; y runs down there."""
        return " ".join(f"{mark.x:g},{100 - mark.y:g}" for mark in self.marks)

    @property
    def band(self) -> str:
        """Of one standard error around the line."""
        upper = [f"{mark.x:g},{100 - mark.high:g}" for mark in self.marks]
        return " ".join(upper + [f"{mark.x:g},{100 - mark.low:g}" for mark in reversed(self.marks)])


class Level(NamedTuple):
    """A value that holds along a plot."""

    y: float
    name: str
    said: str


class Panel(NamedTuple):
    """One plot of a figure."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    levels: tuple[Level, ...] = ()


class Key(NamedTuple):
    """An entry of a legend."""

    name: str
    colour: str
    dash: str
    shape: str


class Chart(NamedTuple):
    """A figure of one or more plots."""

    title: str
    caption: str
    note: str
    panels: tuple[Panel, ...]
    keys: tuple[Key, ...]
    tabs: bool = False  # one plot at a time


class Dot(NamedTuple):
    """A value on a row of a dot plot; ``kind`` is a number of its legend."""

    x: float
    low: float
    high: float
    kind: int
    lines: tuple[str, ...]


class DotChart(NamedTuple):
    """A dot plot: a row for each model, all on one axis."""

    title: str
    caption: str
    note: str
    x: Axis
    rows: tuple[tuple[str, tuple[Dot, ...]], ...]
    kinds: tuple[str, ...]


def axis(title: str, values: Iterable[float], *, log: bool, at: Sequence[float] = ()) -> Axis:
    """An axis around some values, with ticks at given ones or where numbers are round.

    Args:
        values: finite, at least one; positive where ``log``.
        at: ticks, all within the values.
    """
    numbers = [math.log10(value) if log else value for value in values]
    low, high = min(numbers), max(numbers)
    margin = MARGIN * (high - low) or 0.5 * (abs(high) or 1.0) * (0.1 if log else 1.0)
    empty = Axis(title, low - margin, high + margin, log)
    ticks = at or (_powers if log else _round)(empty.low, empty.high)
    return empty._replace(ticks=tuple((empty.place(tick), f"{tick:,.6g}") for tick in ticks))


def _powers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between two logarithms; fewer where these are many, round ones where few."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for parts in ((1, 1.5, 2, 3, 4, 5, 7), (1, 2, 5), (1, 3), (1,)):
        found = [part * 10.0**power for power in powers for part in parts if low <= math.log10(part) + power <= high]
        if len(found) <= MANY:
            break
    return found if len(found) > 1 else _round(10**low, 10**high)


def _round(low: float, high: float) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten, three to seven of them."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((part * power for part in (1, 2, 5, 10)), key=lambda each: abs(each - rough))
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)]


def dashes(line: Any) -> str:
    """A line style of matplotlib as the dashes of SVG; "" for a solid line."""
    named: dict[Any, Any] = {"--": (0, (4, 2)), ":": (0, (1, 2)), "-.": (0, (6, 2, 1, 2))}
    style = named.get(line, line)
    return "" if isinstance(style, str) else " ".join(f"{2 * length:g}" for length in style[1])
