"""Differences to MDLM by hand: clear, not clear, and at another entropy."""

from __future__ import annotations

import pytest

from ladd.metrics.entropy import SequenceEntropy
from ladd.metrics.gen_ppl import GenPpl
from ladd.report.matched import Point, few_step_half, lower_half, versus
from ladd.report.select import summarise


@pytest.mark.parametrize(
    ("value", "error", "entropy", "text"),
    [
        (89.0, 3.0, 4.4, "-11.0±5.0 · +0.00 **"),
        (91.0, 3.0, 4.4, "-9.0±5.0 · +0.00 *"),
        (89.0, 3.0, 4.31, "-11.0±5.0 · -0.09 **"),
        (89.0, 3.0, 4.29, "-11.0±5.0 · -0.11 ≠"),
        (89.0, 3.0, 4.51, "-11.0±5.0 · +0.11 ≠"),
        (89.0, 3.0, None, "-11.0±5.0 ≠"),
        (89.0, None, 4.4, "-11.0 · +0.00 *"),
        (101.0, 3.0, 4.4, "+1.0±5.0 · +0.00"),
    ],
)
def test_marks(value, error, entropy, text):
    # Beside 100 ± 4 and 4.4 nats: with error 3 the difference has error 5.
    assert versus(Point(1.0, value, error, entropy), Point(1.0, 100.0, 4.0, 4.4), GenPpl, SequenceEntropy) == text


@pytest.mark.parametrize(("value", "text"), [(0.9, "+0.1±0.0 · +0.00 **"), (0.7, "-0.1±0.0 · +0.00")])
def test_more_is_better_of_some(value, text):
    class Share(GenPpl):
        better = "higher"

    assert versus(Point(1.0, value, 0.0, 4.4), Point(1.0, 0.8, 0.03, 4.4), Share, SequenceEntropy) == text


@pytest.mark.parametrize(("budgets", "half"), [([1], [1]), ([1, 2], [1]), ([1, 2, 4, 8, 16], [1, 2])])
def test_lower_half(budgets, half):
    points = tuple(Point(float(budget), 1.0, None, None) for budget in budgets)
    assert [point.cost for point in lower_half(points)] == half


def test_block_has_the_lower_half_alone(text_rows, table):
    block = few_step_half(summarise(table(text_rows)))
    assert block.columns == ("model", "schedule", "latents", "10", "20")
    assert block.rows == (  # Di-LADD begins at 24, and is below MDLM's budgets of 40 and 80 alone
        ("di-8", "sequential +2", "L8 K512 w128", "n/a", "n/a"),
        ("co-8", "joint", "L8 w32", "-200.0±42.7 · -0.04 **", "-137.5±25.1 · +0.00 **"),
    )
    assert "against mdlm" in block.note


def test_without_ladd_there_is_no_block(text_rows, table):
    baselines = [row for row in text_rows if row["family"] not in ("co-ladd", "di-ladd")]
    assert few_step_half(summarise(table(baselines))).rows == ()
