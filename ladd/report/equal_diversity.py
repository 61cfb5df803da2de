"""Quality at the diversity of real data, interpolated between the temperatures of a sweep, never beyond them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl

from ladd.metrics.base import Metric
from ladd.report import labels
from ladd.report.cells import EMPTY, NAMES, ROW, Block, Cells, Number, best_cells, described, names_of

NOT_AVAILABLE = "n/a"  # no two temperatures around it
CURVE = [name for name in ROW if name != "temperature"]  # one sampler of one model


class Heat(NamedTuple):
    """Samples at one temperature."""

    temperature: float
    value: float  # quality
    error: float | None
    diversity: float
    diversity_error: float | None
    passes: float | None  # mean per sample, as they were made


class Equal(NamedTuple):
    """Quality at a diversity."""

    value: float
    error: float | None
    temperature: float
    passes: float | None


def at_diversity(points: Sequence[Heat], target: Number, *, log: bool) -> Equal | None:
    """Quality at a diversity, linear in it between the two measured points around it; None where there are none.

    With y the quality or its log, weight a on the upper point and slope m of y over diversity, the variance is that of
    both values, and m^2 times that of both diversities and of the target: ((1 - a) e_0)^2 + (a e_1)^2 +
    m^2 (((1 - a) d_0)^2 + (a d_1)^2 + d^2). It counts values at two temperatures, and a value and its diversity, as
    independent.

    Args:
        points: at least one.
        target: diversity and its standard error.
        log: whether the log of the quality, above 0, is what is interpolated.
    """
    ordered, (wanted, spread) = sorted(points, key=lambda point: point.diversity), target
    for before, after in itertools.pairwise(ordered):
        if not before.diversity <= wanted <= after.diversity or before.diversity == after.diversity:
            continue
        a = (wanted - before.diversity) / (after.diversity - before.diversity)
        low, high = ((math.log(each.value) if log else each.value) for each in (before, after))
        y, slope = (1 - a) * low + a * high, (high - low) / (after.diversity - before.diversity)
        value = math.exp(y) if log else y
        errors = [before.error, after.error, before.diversity_error, after.diversity_error]
        error = None
        if None not in errors:
            scale = (before.value, after.value) if log else (1.0, 1.0)
            parts = [(1 - a) * errors[0] / scale[0], a * errors[1] / scale[1]]  # type: ignore[operator]
            parts += [slope * (1 - a) * errors[2], slope * a * errors[3], slope * (spread or 0.0)]  # type: ignore[operator]
            error = math.hypot(*parts) * (value if log else 1.0)
        passes = None if None in (before.passes, after.passes) else (1 - a) * before.passes + a * after.passes  # type: ignore[operator]
        return Equal(value, error, (1 - a) * before.temperature + a * after.temperature, passes)
    return None


def equal_diversity(
    models: pl.DataFrame, real: pl.DataFrame, budgets: Sequence[int], better: type[Metric], beside: type[Metric]
) -> list[Block]:
    """A table for each budget: quality at the diversity of real data, by model and schedule.

    Args:
        models, real, budgets: as `ladd.report.blocks.frontier` gives them; rows of models at all temperatures.
        better, beside: the metrics of quality and of diversity.
    """
    targets = {row["suite"]: (row["diversity"], row["diversity_stderr"]) for row in real.iter_rows(named=True)}
    blocks = [_block(models.filter(_at(budget)), targets, budget, better, beside) for budget in budgets]
    return [block for block in blocks if block.rows]


def _at(token_steps: int) -> pl.Expr:
    return (pl.col("token_steps") == token_steps) | labels.of_systems("left_to_right")


def _block(
    rows: pl.DataFrame, targets: dict[str, Number], budget: int, better: type[Metric], beside: type[Metric]
) -> Block:
    log = getattr(better, "scale", "log") == "log"
    cells: list[Cells] = []
    grid: list[list[Number | None]] = []
    named: list[tuple[str, str]] = []
    several = rows["suite"].n_unique() > 1
    for key, group in rows.group_by(CURVE, maintain_order=True):
        row: dict[str, Any] = dict(zip(CURVE, key, strict=True)) | {"temperature": None}
        if group.height < 2 or row["suite"] not in targets:
            continue
        columns = "temperature", "value", "stderr", "diversity", "diversity_stderr", "nfe"
        found = at_diversity(
            [Heat(*each) for each in group.select(columns).iter_rows()], targets[row["suite"]], log=log
        )
        cells.append((*names_of(row, with_suite=several), *_shown(found, better, _charged(group))))
        grid.append([*[None] * len(NAMES), None if found is None else (found.value, found.error), None, None, None])
        named.append(described(row))
    if not cells:
        return EMPTY
    wanted = ", ".join(labels.uncertain(value, error, 2) for value, error in targets.values())
    title = f"{better.short} at the {beside.short} of real data, at {labels.steps_name(budget)}"
    note = (
        f"{beside.short} {wanted}; {'log ' * log}{better.short} linear in {beside.short} between two temperatures, n/a "
        "outside of them; passes charged: a pass for every step, as the paper charges them"
    )
    head = (*NAMES, better.short, "temperature", "passes made", "passes charged")
    best = best_cells(grid, better.better)
    block = Block(title, note, head, (), tuple(cells), essential=False, named=tuple(named), best=best)
    return block.without_latents()


def _shown(found: Equal | None, better: type[Metric], charged: str) -> Cells:
    if found is None:
        return NOT_AVAILABLE, NOT_AVAILABLE, NOT_AVAILABLE, charged
    error = None if found.error is None else better.factor * found.error
    value = labels.uncertain(better.factor * found.value, error, better.digits)
    return value, f"{found.temperature:.2f}", "-" if found.passes is None else f"{found.passes:.1f}", charged


def _charged(group: pl.DataFrame) -> str:
    steps = (group["token_steps"].fill_null(0) + group["latent_steps"].fill_null(0)).max()
    return str(steps) if steps else "-"
