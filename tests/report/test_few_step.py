"""Differences to MDLM by hand: clear, not clear, and at another entropy."""

from __future__ import annotations

import math

import pytest

from ladd.report.few_step import Comparison, few_step_half, lower_half, versus_mdlm
from ladd.report.matched import Curve, Point
from ladd.report.table import summarise

KEY = ("text", "m", "mdlm", "none", None, None, None, None, 1.0)


def against(value: float, error: float | None = 3.0, entropy: float | None = 4.4) -> Comparison:
    """LADD at that quality beside MDLM at 100 ± 4 and 4.4 nats: with error 3 the difference has error 5."""
    mdlm = Point(1.0, 100.0, 4.0, 4.4)
    curve = Curve(KEY, (mdlm,), (1,))
    return Comparison(curve, curve, 1.0, 1, Point(1.0, value, error, entropy), mdlm)


@pytest.mark.parametrize(
    ("comparison", "clear", "text"),
    [
        (against(89.0), True, "-11.0±5.0 · +0.00 **"),
        (against(91.0), False, "-9.0±5.0 · +0.00 *"),
        (against(89.0, entropy=4.31), True, "-11.0±5.0 · -0.09 **"),
        (against(89.0, entropy=4.29), False, "-11.0±5.0 · -0.11 ≠H"),
        (against(89.0, entropy=4.51), False, "-11.0±5.0 · +0.11 ≠H"),
        (against(89.0, entropy=None), False, "-11.0±5.0 ≠H"),
        (against(89.0, error=None), False, "-11.0 · +0.00 *"),
        (against(101.0), False, "+1.0±5.0 · +0.00"),
    ],
)
def test_marks(comparison, clear, text):
    assert comparison.clear is clear
    assert str(comparison) == text


@pytest.mark.parametrize(
    ("budgets", "half"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, 2.0, 4.0, 8.0, 16.0], [1.0, 2.0])]
)
def test_lower_half(budgets, half):
    curve = Curve(KEY, tuple(Point(budget, 1.0, None, None) for budget in budgets), tuple(range(len(budgets))))
    assert lower_half(curve) == half


def test_comparisons_at_every_shared_budget(text_rows, table):
    compared = versus_mdlm(summarise(table(text_rows)))
    assert [(c.curve.model, c.budget, c.token_steps) for c in compared] == [
        ("di-8", 40.0, 4),
        ("di-8", 80.0, 8),
        ("co-8", 10.0, 1),
        ("co-8", 20.0, 2),
        ("co-8", 40.0, 4),
    ]
    first = compared[2]
    assert first.difference == pytest.approx(800.0 - 1000.0)
    assert first.error == pytest.approx(math.sqrt(30.0**2 + (0.75 * 40) ** 2 + (0.25 * 20) ** 2))
    assert first.entropy_difference == pytest.approx(4.3625 - 4.4)
    assert [c.equal_entropy for c in compared] == [False, False, True, True, True]


def test_block_has_the_lower_half_alone(text_rows, table):
    block = few_step_half(summarise(table(text_rows)))
    assert block.columns == ("model", "schedule", "latents", "10", "20")
    assert block.rows == (
        ("di-8", "sequential +2", "L8 K512 w128", "n/a", "n/a"),
        ("co-8", "joint", "L8 w32", "-200.0±42.7 · -0.04 **", "-137.5±25.1 · +0.00 **"),
    )
    assert "against mdlm" in block.note


def test_without_ladd_there_is_no_block(text_rows, table):
    baselines = [row for row in text_rows if row["family"] not in ("co-ladd", "di-ladd")]
    assert few_step_half(summarise(table(baselines))).rows == ()
