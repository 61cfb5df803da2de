"""Quality at matched compute (paper Tables 2, 5, 9 and 11): interpolated between measured budgets, never beyond."""

from __future__ import annotations

import math
import operator
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl

from ladd.metrics.base import Metric
from ladd.report import against, labels
from ladd.report.cells import CLEAR, EMPTY, NAMES, ROW, Block, Cells, Number, best_cells, described, names_of
from ladd.report.select import quality

NOT_AVAILABLE = "n/a"  # between no two measured budgets
SAME = 1e-6  # relative difference of two costs that are one: they are means over seeds


class Point(NamedTuple):
    """Quality at a cost."""

    cost: float  # of a sample, in the unit of its column
    value: float
    error: float | None  # standard error of value; None if unknown
    diversity: float | None  # None if not taken

    def __str__(self) -> str:
        """Value ± standard error · diversity."""
        return labels.with_diversity(*self[1:])


class Curve(NamedTuple):
    """Measured points of one model under one schedule, by rising cost."""

    row: dict[str, Any]  # columns ROW
    points: tuple[Point, ...]
    token_steps: tuple[int, ...]


def curves(summary: pl.DataFrame, x: str) -> list[Curve]:
    """Quality and diversity of every model and schedule against a cost, nothing given, temperature nearest to 1."""
    rows = quality(summary).filter(pl.col(x) > 0)
    groups = dict(rows.sort(x, "token_steps").group_by(ROW, maintain_order=True))
    made = []
    for row in summary.select(ROW).unique(maintain_order=True).iter_rows(named=True):
        if (group := groups.get(tuple(row.values()))) is not None:
            points = group.select(x, "value", "stderr", "diversity").iter_rows()
            made.append(Curve(row, tuple(Point(*each) for each in points), tuple(group["token_steps"])))
    return made


def baseline(measured: list[Curve]) -> Curve | None:
    """The comparator whose own budgets are the ladder: of several the one with most budgets, the first of equals."""
    candidates = [curve for curve in measured if curve.row["family"] in labels.systems_that("comparator")]
    return max(candidates, key=lambda curve: len(curve.points), default=None)


def interpolate(points: tuple[Point, ...], cost: float) -> Point | None:
    """Quality at a cost, linear in the cost between the two measured points around it; None outside of them.

    With weight a on the upper point, the standard error is sqrt(((1 - a) e_0)^2 + (a e_1)^2): the two budgets have
    samples of their own.

    Args:
        points: by rising cost.
    """
    costs = [point.cost for point in points]
    low, high = bisect_left(costs, cost * (1 - SAME)), bisect_right(costs, cost * (1 + SAME))
    if low < high:
        return points[high - 1]  # measured there; of several the one with most steps
    if low in (0, len(points)):
        return None
    before, after = points[low - 1], points[low]
    a = (cost - before.cost) / (after.cost - before.cost)
    return Point(
        cost,
        (1 - a) * before.value + a * after.value,
        _both(before.error, after.error, lambda p, q: math.hypot((1 - a) * p, a * q)),
        _both(before.diversity, after.diversity, lambda p, q: (1 - a) * p + a * q),
    )


def _both(first: float | None, second: float | None, combine: Callable[[float, float], float]) -> float | None:
    return None if first is None or second is None else combine(first, second)


def matched(summary: pl.DataFrame, x: str) -> Block:
    """Quality and diversity of every model at the budgets of the comparator; EMPTY without one.

    Returns:
        Rows are models and schedules, columns budgets in the unit of the cost ``x``.
    """
    measured = curves(summary, x)
    if (ladder := baseline(measured)) is None:
        return EMPTY
    budgets, several = [point.cost for point in ladder.points], summary["suite"].n_unique() > 1
    better, beside = (labels.in_role(summary, role) for role in ("quality", "diversity"))
    real, known = quality(summary).filter(family=labels.REAL), labels.references()
    references = [
        (
            *names_of(row, with_suite=several),
            *[labels.with_diversity(row["value"], row["stderr"], row["diversity"])] * len(budgets),
        )
        for row in real.iter_rows(named=True)
    ]
    named, marked = [described(row) for row in real.iter_rows(named=True)], []
    rows: list[Cells] = []
    grid: list[list[Number | None]] = []
    for curve in measured:
        model, schedule, latents = names_of(curve.row, with_suite=several)
        if curve.row["family"] in labels.systems_that("left_to_right"):
            own = f"at {labels.plain(curve.points[-1].cost)}"
            schedule = own if schedule == "-" else f"{schedule} {own}"
            references.append((model, schedule, latents, *[str(curve.points[-1])] * len(budgets)))
            named.append(described(curve.row))
        elif curve.row["family"] not in known:
            points = [interpolate(curve.points, budget) for budget in budgets]
            numbers = [None if point is None else (point.value, point.error) for point in points]
            grid.append([*[None] * len(NAMES), *numbers])
            marked.append(described(curve.row))
            rows.append((model, schedule, latents, *(str(point or NOT_AVAILABLE) for point in points)))
    steps, fixed = ", ".join(map(str, ladder.token_steps)), labels.named_systems("left_to_right")
    note = (
        f"{x}: {against.PRICES[x].rule}; budgets: those of {ladder.row['model']} at {steps} token steps; linear "
        f"between measured budgets, n/a outside; the standard error is of {better.short}; real data and {fixed} hold "
        f"for all budgets, {fixed} at its own cost"
    )
    title = f"{better.short} · {beside.short} at matched {against.PRICES[x].unit} per sample"
    columns = (*NAMES, *map(labels.plain, budgets))
    return Block(
        title,
        note,
        columns,
        tuple(references),
        tuple(rows),
        essential=x == against.BACKBONE,
        meaning=better.meaning,
        named=(*named, *marked),
        best=best_cells(grid, better.better),
    ).without_latents()


def few_step_half(summary: pl.DataFrame) -> Block:
    """Differences to the comparator of the models with latents, at the lower half of its budgets of backbone compute.

    Returns:
        Rows are models and schedules with a value at any of its budgets; EMPTY without such a row.
    """
    measured = curves(summary, against.BACKBONE)
    if (ladder := baseline(measured)) is None:
        return EMPTY
    several, half = summary["suite"].n_unique() > 1, lower_half(ladder.points)
    better, beside = (labels.in_role(summary, role) for role in ("quality", "diversity"))
    rows: list[Cells] = []
    named: list[tuple[str, str]] = []
    for curve in measured:
        if curve.row["family"] in labels.systems_that("uses_latents"):
            points = [interpolate(curve.points, other.cost) for other in ladder.points]
            pairs = zip(points, half, strict=False)
            cells = [NOT_AVAILABLE if point is None else versus(point, other, better, beside) for point, other in pairs]
            rows += [(*names_of(curve.row, with_suite=several), *cells)] * any(points)
            named += [described(curve.row)] * any(points)
    if not rows:
        return EMPTY
    name = labels.family_name(ladder.row["family"], ladder.row["model"])
    unit, side = against.PRICES[against.BACKBONE].unit, {"lower": "negative", "higher": "positive"}[better.better]
    title = f"Few-step half: {better.short} minus {name}'s · {beside.short} minus {name}'s, at matched {unit}"
    note = (
        f"against {ladder.row['model']}; {side} is better; ** by more than {CLEAR:g} standard errors at equal "
        f"{beside.short} (within {beside.equal:g}), * by less, ≠ {beside.short} not equal"
    )
    columns = (*NAMES, *(labels.plain(other.cost) for other in half))
    return Block(title, note, columns, (), tuple(rows), named=tuple(named), meaning=better.meaning)


def lower_half(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Lower half of the budgets, without the middle one of an odd number; the only one of one."""
    return points[: max(1, len(points) // 2)]


def versus(ladd: Point, other: Point, better: type[Metric], beside: type[Metric]) -> str:
    """Difference in quality ± its standard error · difference in diversity, and a mark.

    The two have samples of their own, so the error is the root of the sum of squares.
    """
    difference = ladd.value - other.value
    gain = -difference if better.better == "lower" else difference
    error = _both(ladd.error, other.error, math.hypot)
    diversity = _both(ladd.diversity, other.diversity, operator.sub)
    if diversity is None or abs(diversity) > beside.equal:
        mark = " ≠"
    elif error is not None and gain > CLEAR * error:
        mark = " **"
    else:
        mark = " *" if gain > 0 else ""
    shown = "" if diversity is None else f" · {diversity:+z.2f}"
    return ("+" if difference > 0 else "") + labels.uncertain(difference, error, 1) + shown + mark
