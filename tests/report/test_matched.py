"""Interpolated cells against numbers worked out by hand, and n/a where nothing was measured on both sides."""

from __future__ import annotations

import math

import polars as pl
import pytest

from ladd.evaluation.rows import COSTS
from ladd.report.matched import Point, baseline, curves, interpolate, matched
from ladd.report.select import summarise

POINTS = (Point(8.0, 900.0, 40.0, 4.35), Point(16.0, 500.0, 20.0, 4.4), Point(32.0, 350.0, None, None))


def test_linear_in_the_cost_with_the_errors_of_both_ends():
    # 10 lies a quarter of the way from 8 to 16.
    point = interpolate(POINTS, 10.0)
    assert point.value == pytest.approx(0.75 * 900 + 0.25 * 500)
    assert point.error == pytest.approx(math.sqrt((0.75 * 40) ** 2 + (0.25 * 20) ** 2))
    assert point.diversity == pytest.approx(0.75 * 4.35 + 0.25 * 4.4)


def test_measured_budgets_are_themselves_and_nothing_lies_beyond():
    assert interpolate(POINTS, 16.0 * (1 + 1e-9)) is POINTS[1]
    assert interpolate(POINTS, 8.0 * (1 - 1e-9)) is POINTS[0]
    assert interpolate(POINTS, 7.9) is None
    assert interpolate(POINTS, 32.1) is None
    assert interpolate((), 1.0) is None


def test_an_unknown_error_or_entropy_stays_unknown():
    point = interpolate(POINTS, 24.0)
    assert (point.value, point.error, point.diversity) == (425.0, None, None)
    assert str(point) == "425.0"
    assert str(POINTS[0]) == "900.0±40.0 · 4.35"


def test_equal_costs_take_the_most_steps():
    points = (
        Point(1.0, 9.0, 1.0, 4.0),
        Point(2.0, 8.0, 1.0, 4.0),
        Point(2.0, 7.0, 1.0, 4.0),
        Point(3.0, 5.0, 1.0, 4.0),
    )
    assert interpolate(points, 2.0).value == 7.0
    assert interpolate(points, 2.5).value == 6.0


def cells(block, name: str) -> list[str]:
    [row] = [row for row in (*block.references, *block.rows) if row[0] == name]
    return list(row)


def test_block_at_the_budgets_of_mdlm(text_rows, table):
    block = matched(summarise(table(text_rows)), "nominal_gmacs_per_sample")
    assert block.columns == ("model", "schedule", "10", "20", "40", "80")
    assert block.note.startswith("nominal_gmacs_per_sample: as the paper charges: a pass for every step")
    assert "those of mdlm at 1, 2, 4, 8 token steps" in block.note
    assert cells(block, "mdlm")[2:] == [
        "1000.0±30.0 · 4.40",
        "600.0±20.0 · 4.40",
        "400.0±10.0 · 4.40",
        "300.0±5.0 · 4.40",
    ]
    # Costs 8, 16, 32, 64: 40 lies a quarter of the way from 32 to 64, and 80 beyond.
    assert cells(block, "co-8")[1:3] == ["joint", "800.0±30.4 · 4.36"]
    assert cells(block, "co-8")[4:] == ["340.0±7.6 · 4.42", "n/a"]
    # Latent passes are paid: costs 24, 32, 48, 80.
    assert cells(block, "di-8")[1:] == ["sequential +2", "n/a", "n/a", "355.0±5.0 · 4.20", "305.0±5.0 · 4.20"]
    assert [row[:2] for row in block.references] == [("real", "-"), ("ar", "at 10")]
    assert cells(block, "real")[2:] == ["42.0±1.0 · 4.40"] * 4
    assert block.essential


def test_each_cost_has_its_own_ladder(text_rows, table):
    summary = summarise(table(text_rows))
    assert matched(summary, "gmacs_per_sample").columns[2:] == ("9", "18", "36", "72")
    assert matched(summary, "gflops_per_sample").columns[2:] == ("21", "42", "84", "168")
    assert matched(summary, "seconds_per_sample").columns[2:] == ("0.01", "0.02", "0.04", "0.08")
    assert [matched(summary, x).essential for x in COSTS] == [True, False, False, False]


def test_only_unconditional_samples_at_temperature_one_count(text_rows, table):
    others = [row | {"given": "prefix-16", "value": 1.0} for row in text_rows if row["metric"] == "gen_ppl"]
    others += [row | {"temperature": 0.7} for row in text_rows if row["model"] == "mdlm" and row["temperature"]]
    both = matched(summarise(table([*text_rows, *others])), "nominal_gmacs_per_sample")
    assert both == matched(summarise(table(text_rows)), "nominal_gmacs_per_sample")


def test_the_ladder_is_that_of_the_mdlm_with_most_budgets(text_rows, table):
    more = [row | {"model": "a-mdlm"} for row in text_rows if row["model"] == "mdlm" and row["token_steps"] in (1, 2)]
    measured = curves(summarise(table([*text_rows, *more])), "nominal_gmacs_per_sample")
    assert baseline(measured).row["model"] == "mdlm"
    assert baseline([curve for curve in measured if curve.row["family"] != "mdlm"]) is None


def test_without_gen_ppl_or_mdlm_there_is_no_table(text_rows, rows, table):
    summary = summarise(table(text_rows))
    for empty in (summarise(table(rows)), summary.filter(pl.col("model") != "mdlm")):
        block = matched(empty, "nominal_gmacs_per_sample")
        assert (block.rows, block.references) == ((), ())
