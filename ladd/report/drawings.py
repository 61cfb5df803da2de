"""Drawings of samples, by task. They stand here and not with their task, as no drawing may train or measure anything
again; a task that has no drawing here, but draws its samples itself (`ladd.tasks.pictures`), is asked for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from ladd.tasks.base import SHOWN, Task
from ladd.tasks.pictures import Picture, Pictured
from ladd.tasks.sawtooth import draw_sequences

SIDE, CELL = 4, 20  # cells of a grid, and pixels of a cell


class Drawing(NamedTuple):
    """How the samples of a task are drawn."""

    picture: Callable[[str], Picture]  # of a decoded sample; it says all that the text says
    look: str  # of a list of pictures: "strips" stand below each other, "cells" side by side
    says: str  # what they show, in a sentence
    real: Callable[[Any], list[str]] | None = None  # of the task: decoded data, where its results hold none


def drawn(task: Task, texts: Sequence[str]) -> tuple[list[Picture], str, str]:
    """Pictures of samples, their look and what they show; none of it where the task has none."""
    if task.name in DRAWINGS:
        drawing = DRAWINGS[task.name]
        return [drawing.picture(text) for text in texts], drawing.look, drawing.says
    return ([task.picture(text) for text in texts] if isinstance(task, Pictured) else []), "", ""


def real(task: Task) -> list[str]:
    """Some decoded data of a task whose results hold none; none where it has no such drawing."""
    drawing = DRAWINGS.get(task.name)
    return drawing.real(task) if drawing is not None and drawing.real is not None else []


def strip(bits: str) -> Picture:
    """A sequence of zeros and ones as a strip, black where there is a one."""
    path, place = [], 0
    for bit, run in groupby(bits):
        length = len(list(run))
        path += [f"M{place} 0h{length}v1h-{length}z"] * (bit == "1")
        place += length
    svg = (
        f'<svg viewBox="0 0 {len(bits)} 1" preserveAspectRatio="none" role="img" aria-label="{bits}">'
        f'<path d="{"".join(path)}" shape-rendering="crispEdges"/></svg>'
    )
    return Picture(svg, "", good=True)


def _sequences(task: Any) -> list[str]:
    """Of the sawtooth, of the same law as its data."""
    data = task.settings
    drawn_now = draw_sequences(
        SHOWN, task.suite.seed, "shown", tokens=data.tokens, periods=data.periods, floor=data.floor
    )
    return [task.decode(row) for row in drawn_now.tolist()]


def grid(text: str) -> Picture:
    """A grid of four by four digits, row after row; digits that a row, column or quarter has twice are marked."""
    digits = "".join(text.split())
    if len(digits) != SIDE * SIDE or not digits.isdigit():
        return Picture("", "not valid: cells are missing", good=False)
    wrong = sorted({place for group in _groups() for place in _repeated(digits, group)})
    size = SIDE * CELL
    marks = "".join(
        f'<path class="clash" d="M{place % SIDE * CELL} {place // SIDE * CELL}h{CELL}v{CELL}h-{CELL}z"/>'
        for place in wrong
    )
    across = " ".join(str(CELL // 2 + CELL * column) for column in range(SIDE))
    rows = "".join(
        f'<text x="{across}" y="{CELL * row + CELL * 3 // 4}">{digits[SIDE * row : SIDE * (row + 1)]}</text>'
        for row in range(SIDE)
    )
    thin, thick = (
        "".join(f"M{at} 0v{size}M0 {at}h{size}" for at in range(first, size + 1, 2 * CELL)) for first in (CELL, 0)
    )
    lines = f'<path class="thin" d="{thin}"/><path class="thick" d="{thick}"/>'
    svg = f'<svg viewBox="-1 -1 {size + 2} {size + 2}" role="img" aria-label="{text}">{marks}{lines}{rows}</svg>'
    return Picture(svg, f"{len(wrong)} cells clash" if wrong else "valid", good=not wrong)


def _groups() -> list[list[int]]:
    """Places of each row, column and quarter."""
    places, half = range(SIDE * SIDE), SIDE // 2
    of_place = [
        (f"row {at // SIDE}", f"column {at % SIDE}", f"quarter {at // SIDE // half} {at % SIDE // half}")
        for at in places
    ]
    names = {name for names in of_place for name in names}
    return [[at for at in places if name in of_place[at]] for name in sorted(names)]


def _repeated(digits: str, places: Sequence[int]) -> list[int]:
    counts = Counter(digits[at] for at in places)
    return [at for at in places if counts[digits[at]] > 1]


DRAWINGS = {
    "sawtooth": Drawing(strip, "strips", "A strip is a sequence, black where a token is 1", _sequences),
    "shidoku": Drawing(grid, "cells", "Red: a digit that its row, column or quarter has twice"),
}
