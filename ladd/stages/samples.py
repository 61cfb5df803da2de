"""The first samples of a sweep as text, for the page of samples: never chosen ones."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from torch import Tensor

from ladd.config import SweepPoint
from ladd.stages.measure import SampleMeasures

SHOWN = 4


def shown_samples(point: SweepPoint, x: Tensor, given: Tensor | None, measures: SampleMeasures) -> dict[str, Any]:
    """The first samples of x int64 (n, N), each as runs [text, given] from left to right.

    Runs are decoded one by one, so a character that is cut by the border of a run shows as a replacement mark.
    """
    items = []
    for row in range(min(SHOWN, len(x))):
        flags = [False] * x.shape[1] if given is None else given[row].tolist()
        places = [list(group) for _, group in groupby(range(x.shape[1]), key=flags.__getitem__)]
        items.append([[measures.texts(x[row, run].unsqueeze(0))[0], flags[run[0]]] for run in places])
    return {"token_steps": point.token_steps, "temperature": point.temperature, "items": items}
