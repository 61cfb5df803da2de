"""Gen PPL at matched compute (paper Tables 2, 5, 9 and 11): interpolated between measured budgets, never beyond."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from ladd.report.cells import NAMES, NOT_AVAILABLE, ROW, Block, Cells, names_of
from ladd.report.labels import COSTS, REFERENCES, comparators, left_to_right, plain, uncertain
from ladd.report.select import sampled, with_entropy

SAME = 1e-6  # relative difference of two costs that are one: they are means over seeds
FRONTIER = "nominal_gmacs_per_sample"  # the paper's tables charge backbones alone, and every step


@dataclass(frozen=True)
class Point:
    """Quality at a cost.

    Attributes:
        cost: of a sample, in the unit of its column.
        value: Gen PPL.
        error: standard error of value; None if unknown.
        entropy: per-sequence, nats; None if not taken.
    """

    cost: float
    value: float
    error: float | None
    entropy: float | None

    def __str__(self) -> str:
        """Gen PPL ± standard error · entropy."""
        return uncertain(self.value, self.error, 1) + ("" if self.entropy is None else f" · {self.entropy:.2f}")


@dataclass(frozen=True)
class Curve:
    """Measured points of one model under one schedule, by rising cost."""

    key: tuple  # values of ROW
    points: tuple[Point, ...]
    token_steps: tuple[int, ...]

    @property
    def family(self) -> str:
        return self.key[ROW.index("family")]

    @property
    def model(self) -> str:
        return self.key[ROW.index("model")]

    @property
    def schedule(self) -> str:
        return self.key[ROW.index("schedule")]


def curves(summary: pl.DataFrame, x: str) -> list[Curve]:
    """Gen PPL and entropy of every model and schedule against a cost, nothing given, temperature nearest to 1."""
    rows = with_entropy(sampled(summary, "gen_ppl"), summary).filter(pl.col(x) > 0)
    made = []
    for key, group in rows.sort(x, "token_steps").group_by(ROW, maintain_order=True):
        columns = group.select(x, "value", "stderr", "entropy")
        made.append(Curve(key, tuple(Point(*row) for row in columns.iter_rows()), tuple(group["token_steps"])))
    order = {tuple(key): i for i, key in enumerate(summary.select(ROW).unique(maintain_order=True).iter_rows())}
    return sorted(made, key=lambda curve: order[curve.key])


def baseline(measured: list[Curve]) -> Curve | None:
    """The MDLM whose own budgets are the ladder: of several the one with most budgets, the first of equals."""
    candidates = [curve for curve in measured if curve.family in comparators()]
    return max(candidates, key=lambda curve: len(curve.points), default=None)


def interpolate(points: tuple[Point, ...], cost: float) -> Point | None:
    """Quality at a cost, linear in the cost between the two measured points around it; None outside of them.

    With weight a on the upper point, the standard error is sqrt(((1 - a) e_0)^2 + (a e_1)^2): the two budgets have
    samples of their own.

    Args:
        points: by rising cost.
        cost: in their unit.
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
        _both(before.entropy, after.entropy, lambda p, q: (1 - a) * p + a * q),
    )


def _both(before: float | None, after: float | None, combine: Callable[[float, float], float]) -> float | None:
    return None if before is None or after is None else combine(before, after)


def matched(summary: pl.DataFrame, x: str) -> Block:
    """Gen PPL and per-sequence entropy of every model at the budgets of MDLM.

    Returns:
        Rows are models and schedules, columns budgets; no rows without Gen PPL, costs or an MDLM.
    """
    measured = curves(summary, x)
    ladder = baseline(measured)
    unit = COSTS[x].unit
    title = f"Gen PPL · per-sequence entropy at matched {unit} per sample"
    if ladder is None:
        return Block(title, "", NAMES, (), ())
    budgets = [point.cost for point in ladder.points]
    several = summary["suite"].n_unique() > 1
    real = with_entropy(sampled(summary, "gen_ppl").filter(pl.col("family") == "real"), summary)
    references = [_everywhere(row, len(budgets), several) for row in real.iter_rows(named=True)]
    references += [_own_cost(curve, len(budgets), several) for curve in measured if curve.family in left_to_right()]
    rows = [
        (*names_of(curve.key, with_suite=several), *(_cell(curve, budget) for budget in budgets))
        for curve in measured
        if curve.family not in (*left_to_right(), *REFERENCES)
    ]
    steps = ", ".join(map(str, ladder.token_steps))
    note = (
        f"{x}: {COSTS[x].rule}; budgets: those of {ladder.model} at {steps} token steps; linear between measured "
        "budgets, n/a outside; the standard error is of Gen PPL; real text and AR hold for all budgets, AR at its own "
        "cost"
    )
    columns = (*NAMES, *map(plain, budgets))
    block = Block(title, note, columns, tuple(references), tuple(rows), essential=x == FRONTIER)
    return block.without_latents()


def _cell(curve: Curve, budget: float) -> str:
    point = interpolate(curve.points, budget)
    return NOT_AVAILABLE if point is None else str(point)


def _everywhere(row: dict, budgets: int, several: bool) -> Cells:
    point = Point(0.0, row["value"], row["stderr"], row["entropy"])
    return (*names_of(tuple(row[key] for key in ROW), with_suite=several), *[str(point)] * budgets)


def _own_cost(curve: Curve, budgets: int, several: bool) -> Cells:
    model, schedule, latents = names_of(curve.key, with_suite=several)
    point, own = curve.points[-1], f"at {plain(curve.points[-1].cost)}"
    return (model, own if schedule == "-" else f"{schedule} {own}", latents, *[str(point)] * budgets)
