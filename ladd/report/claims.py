"""Verdicts on the claims of a suite, from its table of results, with their errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import polars as pl

from ladd.config.claims import Claim, Number, Quantity, evaluate, sides
from ladd.report.against import BACKBONE
from ladd.report.cells import Block
from ladd.report.matched import Point, interpolate
from ladd.report.select import at_base_temperature, averaged

LEVEL = 0.05  # probability of a verdict if the truth lies on the line
MOST = 200  # replicates that it makes sense to ask for
VERDICTS = ("holds", "fails", "undecided", "not run")
NOTE = (
    f"margin: how far the side that is to be smaller lies below the other; one-sided, at {LEVEL:g}; errors over "
    "trainings where there are several, else of measuring one"
)
FUNCTIONS: Mapping[str, Callable[..., Number]] = {
    "abs": np.abs,
    "exp": np.exp,
    "log": np.log,
    "max": lambda *numbers: reduce(np.maximum, numbers),
    "min": lambda *numbers: reduce(np.minimum, numbers),
}


class Verdict(NamedTuple):
    """What the results say of a claim."""

    verdict: str  # one of VERDICTS
    margin: float | None = None  # by how much the smaller side lies below the larger one
    stderr: float | None = None  # of it
    p: float | None = None  # probability of such a margin, or a larger one, if there were none
    trainings: int | None = None
    needed: int | None = None  # trainings that would decide it if they went on like these
    reason: str = ""


class Measured(NamedTuple):
    """One number of the table: by training, and the standard error of measuring it."""

    values: tuple[float, ...]
    stderr: float | None  # of a single value


def judge(claims: Mapping[str, Claim], compare: pl.DataFrame) -> dict[str, Verdict]:
    """Verdicts by the keys of claims.

    Over several trainings of both sides the margin is that of each pair of trainings, and its error that over them
    (Student's t); of a single training it is the error of measuring alone, which another training is not covered by.
    """
    typed = compare.with_columns(pl.col("temperature").cast(pl.Float64))  # a column of nulls has no type of its own
    with np.errstate(all="ignore"):  # what comes of it is not finite, and is said to be
        return {key: _judge(claim, typed) for key, claim in claims.items()}


def _judge(claim: Claim, compare: pl.DataFrame) -> Verdict:
    if claim.claim is None:
        return Verdict("not run", reason=str(claim.not_run))
    left, right, sign = sides(claim.claim)
    found: dict[Quantity, Measured] = {}
    try:
        for side in (left, right):
            evaluate(
                side,
                lambda quantity: np.float64(found.setdefault(quantity, _look_up(quantity, compare)).values[0]),
                FUNCTIONS,
            )
    except LookupError as error:
        return Verdict("not run", reason=str(error))
    counts = {len(measured.values) for measured in found.values()} - {1}
    if len(counts) > 1:
        return Verdict("not run", reason=f"its models were trained {sorted(counts)} times: they cannot be paired")
    trainings = max(counts, default=1)

    def margin(shifted: Quantity | None = None, errors: int = 0) -> np.ndarray:
        """By training; with one quantity so many standard errors larger."""

        def value(quantity: Quantity) -> np.ndarray:
            measured = found[quantity]
            return np.array(measured.values) + (errors * (measured.stderr or 0.0) if quantity == shifted else 0.0)

        low, high = (evaluate(side, value, FUNCTIONS) for side in (left, right))
        return np.atleast_1d(np.asarray(sign * (high - low), dtype=float))

    margins = margin()
    # What was measured of no training, or of one alone, is shared by all pairs: its own error counts in full.
    # Of the two directions the one with the larger effect: within abs, max and min the other may have none.
    single = [quantity for quantity, measured in found.items() if len(measured.values) == 1]
    effects = [max(abs((margin(each, errors) - margins).mean()) for errors in (1, -1)) for each in single]
    shared = math.hypot(*effects)
    unknown = trainings == 1 and any(measured.stderr is None for measured in found.values())
    spread = float(margins.std(ddof=1)) if trainings > 1 else 0.0
    return _verdict(float(margins.mean()), spread, shared, trainings, unknown=unknown)


def _verdict(mean: float, spread: float, shared: float, trainings: int, *, unknown: bool) -> Verdict:
    if not math.isfinite(mean + spread + shared):
        return Verdict("not run", reason="it divides by zero, or takes the logarithm of what is not above it")
    if unknown:
        return Verdict("undecided", mean, None, None, trainings, reason="the error of a number in it is not known")
    stderr = math.hypot(spread / math.sqrt(trainings), shared)
    p = _tail(mean / stderr, trainings) if stderr > 0 else float(mean <= 0)
    verdict = "holds" if p < LEVEL else "fails" if p > 1 - LEVEL else "undecided"
    needed = _needed(mean, spread, shared) if verdict == "undecided" and spread > 0 else None
    return Verdict(verdict, mean, stderr, p, trainings, needed)


def _tail(t: float, trainings: int) -> float:
    """Probability of t or more: Student's with trainings - 1 degrees of freedom, normal for one training."""
    from scipy import stats  # half a second, which a table without claims need not spend

    return float(stats.t.sf(t, trainings - 1) if trainings > 1 else stats.norm.sf(t))


def _needed(mean: float, spread: float, shared: float) -> int | None:
    """Fewest trainings whose error would decide on such a margin; None for more than MOST."""
    for trainings in range(2, MOST + 1):
        stderr = math.hypot(spread / math.sqrt(trainings), shared)
        if _tail(abs(mean) / stderr, trainings) < LEVEL:
            return trainings
    return None


def _look_up(quantity: Quantity, compare: pl.DataFrame) -> Measured:
    rows = compare.filter(metric=quantity.metric, model=quantity.model).filter(
        pl.col("given").fill_null("") == quantity.given
    )
    if quantity.gflops is None:
        rows = rows.filter(pl.col("token_steps").eq_missing(pl.lit(quantity.token_steps, pl.Int64)))
    else:
        rows = rows.drop_nulls(("token_steps", BACKBONE))
    if quantity.temperature is None:
        rows = at_base_temperature(rows)
    else:
        rows = rows.filter(temperature=float(quantity.temperature))
    if rows.is_empty():
        raise LookupError(f"there is no row of {_written(quantity)}")
    if len(set(rows["schedule"])) > 1:
        raise LookupError(f"there are several rows of {_written(quantity)}")
    rows = rows.with_columns(each=pl.col("replicate"))
    if quantity.gflops is not None:
        return _interpolated(quantity, quantity.gflops, rows)
    means = averaged(rows, ("each",)).sort("each")
    return Measured(tuple(means["value"]), means["stderr"][0] if len(means) == 1 else None)


def _interpolated(quantity: Quantity, gflops: float, table: pl.DataFrame) -> Measured:
    """By training, linear in the cost between the two measured budgets around it."""
    means = averaged(table, ("each", "token_steps"), pl.col(BACKBONE).mean()).sort("each", BACKBONE, "token_steps")
    found = []
    for _, each in means.group_by("each", maintain_order=True):
        rows = each.select(BACKBONE, "value", "stderr").iter_rows()
        points = tuple(Point(cost, value, error, None) for cost, value, error in rows)
        if (point := interpolate(points, gflops)) is None:
            measured = f"it was measured from {points[0].cost:.3g} to {points[-1].cost:.3g} GFLOPs"
            raise LookupError(f"{_written(quantity)}: {measured}")
        found.append(point)
    return Measured(tuple(point.value for point in found), found[0].error if len(found) == 1 else None)


def _written(quantity: Quantity) -> str:
    said = [quantity.model, "" if quantity.token_steps is None else f"{quantity.token_steps} token steps"]
    said += ["" if quantity.gflops is None else f"{quantity.gflops:g} GFLOPs"]
    said += [quantity.given, "" if quantity.temperature is None else f"temperature {quantity.temperature:g}"]
    return f"{quantity.metric} of {', '.join(filter(None, said))}"


def counts(verdicts: Mapping[str, Verdict]) -> dict[str, int]:
    """How many claims have each verdict."""
    return {verdict.replace(" ", "_"): sum(v.verdict == verdict for v in verdicts.values()) for verdict in VERDICTS}


def sentence(verdict: Verdict) -> str:
    """A verdict with what it rests on, in words."""
    if verdict.margin is None:
        return f"{verdict.verdict}: {verdict.reason}"
    size = f"margin {_short(verdict.margin, 3)}" + ("" if verdict.stderr is None else f" ± {_short(verdict.stderr, 2)}")
    over = "one training" if verdict.trainings == 1 else f"{verdict.trainings} trainings"
    words = [size, "" if verdict.p is None else f"p = {_probability(verdict.p)}", over, verdict.reason]
    if verdict.verdict == "undecided" and verdict.needed:
        words.append(f"{verdict.needed} trainings would decide it")
    return f"{verdict.verdict} ({', '.join(filter(None, words))})"


def _probability(p: float) -> str:
    return f"{p:.1e}" if 0 < p < 0.001 else f"{p:.3f}"


def tally(verdicts: Mapping[str, Verdict]) -> list[str]:
    """How many claims have each verdict, in words, without those that none has."""
    plural = {"holds": "hold", "fails": "fail"}
    found = {name.replace("_", " "): count for name, count in counts(verdicts).items() if count}
    return [f"{count} {name if count == 1 else plural.get(name, name)}" for name, count in found.items()]


def _short(number: float, digits: int) -> str:
    """Without an exponent where there are hundreds."""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.{digits}g}"


class Judged(NamedTuple):
    """A claim as the report has it."""

    key: str
    claim: Claim
    verdict: Verdict

    @property
    def said(self) -> str:
        """The verdict, in words."""
        return sentence(self.verdict)


def judged(claims: Mapping[str, Claim], verdicts: Mapping[str, Verdict]) -> list[Judged]:
    """All claims with their verdicts, those that fail first."""
    made = [Judged(key, claim, verdicts[key]) for key, claim in claims.items()]
    return sorted(made, key=lambda each: each.verdict.verdict != "fails")


def block(found: Sequence[Judged]) -> Block:
    """A table of claims for the terminal."""
    number = counts({each.key: each.verdict for each in found})
    summed = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in number.items() if count)
    rows = tuple((each.key, each.verdict.verdict, *_numbers(each.verdict)) for each in found)
    return Block("Claims", f"{summed}; {NOTE}", ("claim", "verdict", "margin", "p"), (), rows, names=2)


def _numbers(verdict: Verdict) -> tuple[str, str]:
    if verdict.margin is None:
        return "-", "-"
    error = "" if verdict.stderr is None else f"±{verdict.stderr:.2g}"
    return f"{verdict.margin:.3g}{error}", "-" if verdict.p is None else _probability(verdict.p)
