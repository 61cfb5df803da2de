"""The few-step half: is LADD below MDLM at matched compute and equal entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import polars as pl

from ladd.report.cells import NAMES, NOT_AVAILABLE, Block, names_of
from ladd.report.labels import COSTS, plain, uncertain, with_latents
from ladd.report.matched import FRONTIER, Curve, Point, baseline, curves, interpolate

EQUAL_ENTROPY = 0.1  # nats per-sequence
CLEAR = 2.0  # standard errors


@dataclass(frozen=True)
class Comparison:
    """A LADD model beside MDLM at one budget."""

    curve: Curve
    baseline: Curve
    budget: float
    token_steps: int  # of MDLM at that budget
    ladd: Point
    mdlm: Point

    @property
    def difference(self) -> float:
        """Gen PPL of LADD minus that of MDLM."""
        return self.ladd.value - self.mdlm.value

    @property
    def error(self) -> float | None:
        """Standard error of the difference: the two have samples of their own."""
        if self.ladd.error is None or self.mdlm.error is None:
            return None
        return math.hypot(self.ladd.error, self.mdlm.error)

    @property
    def entropy_difference(self) -> float | None:
        """Nats, LADD minus MDLM; None if one was not taken."""
        if self.ladd.entropy is None or self.mdlm.entropy is None:
            return None
        return self.ladd.entropy - self.mdlm.entropy

    @property
    def equal_entropy(self) -> bool:
        """Whether both entropies are known and within EQUAL_ENTROPY of each other."""
        return self.entropy_difference is not None and abs(self.entropy_difference) <= EQUAL_ENTROPY

    @property
    def clear(self) -> bool:
        """Whether LADD is lower by more than CLEAR standard errors at equal entropy."""
        return self.equal_entropy and self.error is not None and self.difference < -CLEAR * self.error

    def __str__(self) -> str:
        """Difference ± standard error · entropy difference, and a mark."""
        if not self.equal_entropy:
            mark = " ≠H"
        elif self.clear:
            mark = " **"
        else:
            mark = " *" if self.difference < 0 else ""
        entropy = "" if self.entropy_difference is None else f" · {self.entropy_difference:+z.2f}"
        return ("+" if self.difference > 0 else "") + uncertain(self.difference, self.error, 1) + entropy + mark


def versus_mdlm(summary: pl.DataFrame, x: str = FRONTIER) -> list[Comparison]:
    """Every LADD model and schedule against MDLM, at those of MDLM's budgets that lie between two of its own.

    Returns:
        In the order of tables, each by rising budget; none without an MDLM.
    """
    measured = curves(summary, x)
    ladder = baseline(measured)
    if ladder is None:
        return []
    return [
        Comparison(curve, ladder, mdlm.cost, steps, ladd, mdlm)
        for curve in measured
        for mdlm, steps in zip(ladder.points, ladder.token_steps, strict=True)
        if curve.family in with_latents() and (ladd := interpolate(curve.points, mdlm.cost)) is not None
    ]


def lower_half(ladder: Curve) -> list[float]:
    """Lower half of the budgets, without the middle one of an odd number; the only one of one."""
    budgets = [point.cost for point in ladder.points]
    return budgets[: max(1, len(budgets) // 2)]


def few_step_half(summary: pl.DataFrame, x: str = FRONTIER) -> Block:
    """Difference in Gen PPL to MDLM, its standard error and the entropy difference, at the lower half of the budgets.

    Returns:
        Rows are LADD models and schedules; no rows without an MDLM or a LADD model.
    """
    compared = versus_mdlm(summary, x)
    title = f"Few-step half: Gen PPL minus MDLM's · entropy minus MDLM's, at matched {COSTS[x].unit}"
    if not compared:
        return Block(title, "", NAMES, (), ())
    ladder = compared[0].baseline
    budgets = lower_half(ladder)
    several = summary["suite"].n_unique() > 1
    cells = {(comparison.curve.key, comparison.budget): str(comparison) for comparison in compared}
    rows = tuple(
        (*names_of(key, with_suite=several), *(cells.get((key, budget), NOT_AVAILABLE) for budget in budgets))
        for key in dict.fromkeys(comparison.curve.key for comparison in compared)
    )
    note = (
        f"against {ladder.model}; negative is better; ** lower by more than {CLEAR:g} standard errors at equal entropy "
        f"(within {EQUAL_ENTROPY:g} nat), * lower by less, ≠H entropy not equal"
    )
    return Block(title, note, (*NAMES, *map(plain, budgets)), (), rows)
