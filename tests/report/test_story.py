"""What a page tells first: who is best, and figures whose marks stand where the numbers are."""

from __future__ import annotations

import math

import polars as pl
import pytest

from ladd.report.cells import best_cells
from ladd.report.chart import SHAPES, Chart, DotChart, axis, dashes
from ladd.report.labels import references
from ladd.report.select import summarise
from ladd.report.story import charts, findings


def test_places_run_with_the_value():
    linear, logarithmic = axis("", [0.0, 10.0], log=False), axis("", [1.0, 100.0], log=True)
    assert linear.place(5.0) == logarithmic.place(10.0) == 50.0
    assert linear.place(0.0) == logarithmic.place(1.0) == pytest.approx(100 * 0.05 / 1.1, abs=0.01)


@pytest.mark.parametrize("values", [[1, 2], [0.0136, 0.0511], [92.0, 5035.0], [3.0, 3.0], [1e-4, 1e5], [10.1, 10.2]])
def test_ticks_are_few_and_lie_on_the_axis(values):
    for log in (False, True):
        made = axis("", values, log=log)
        assert 2 <= len(made.ticks) <= 11
        assert all(0 <= place <= 100 for place, _ in made.ticks)
        assert all(
            made.place(float(text.replace(",", ""))) == pytest.approx(place, abs=0.1) for place, text in made.ticks
        )


def test_dashes_of_matplotlib():
    assert (dashes("-"), dashes((0, (4, 1.8)))) == ("", "8 3.6")


def test_best_are_those_that_errors_do_not_part():
    grid = [[(1.0, 0.1), (1.0, 0.1)], [(1.2, 0.1), (1.1, 0.1)], [(2.0, None), None]]
    assert best_cells(grid, "lower") == {(0, 0), (1, 0)}  # all of the second column are equal
    assert best_cells(grid, "higher") == {(2, 0)}


def test_the_best_model_stands_beside_its_comparator_and_real_data(rows, table):
    metric, (first, last) = findings(summarise(table(rows)))
    assert "sliced Wasserstein" in metric
    assert (first.where, first.best, first.value) == ("1 token step", "Di-LADD, sequential, 1 code step", "8.00 ± 1.00")
    assert first.others == (("MDLM", "120.00 ± 11.55"), ("Real data", "4.00 ± 1.00"))
    assert (last.where, last.best) == ("4 token steps", "Di-LADD, joint")


def test_a_model_that_errors_do_not_part_is_named(rows, table):
    near = [row | {"value": row["value"] + 0.012} if row["token_steps"] == 4 else row for row in rows]
    near = [row | {"value": row["value"] - 0.012} if row["model"] == "mdlm" else row for row in near]
    _, (_, last) = findings(summarise(table(near)))
    assert len(last.others) == 2
    assert last.others[0][1] in ("MDLM", "Di-LADD, joint")
    assert "no worse" in last.others[0][0]


def test_charts_of_a_synthetic_task(rows, table):
    steps, cost, likelihood = charts(summarise(table(rows)))
    assert isinstance(steps, Chart)
    assert isinstance(likelihood, DotChart)
    assert not cost.tabs
    (panel,) = steps.panels
    marks = {series.name: series.marks for series in panel.series}
    assert [mark.y for mark in marks["MDLM"]] == [panel.y.place(120.0), panel.y.place(30.0)]
    assert marks["MDLM"][0].lines == ("MDLM", "1 token step", "SWD 120.00 ± 11.55")
    assert panel.levels[0].y == panel.y.place(4.0)
    dots = {name: [(dot.x, dot.kind) for dot in dots] for name, dots in likelihood.rows}
    assert dots["MDLM"] == [(likelihood.x.place(0.5731), 0)]
    assert dots[references()["exact"].label] == [(likelihood.x.place(0.5675), 2)]


def test_charts_of_text_have_every_budget_and_the_trade(text_rows, table):
    heats = [row | {"temperature": 0.9, "value": 0.9 * row["value"]} for row in text_rows if row["temperature"] == 1.0]
    quality, trade, likelihood = charts(summarise(table(text_rows + heats)))
    assert quality.tabs
    assert [panel.title for panel in quality.panels] == [
        *("token steps", "backbone GFLOPs", "backbone GFLOPs made", "true GFLOPs", "seconds")
    ]
    assert all(len(series.marks) >= 2 for series in trade.panels[0].series if series.name == "MDLM")
    assert {dot.kind for name, dots in likelihood.rows for dot in dots if "Co-LADD" in name} == {1}
    assert math.isfinite(likelihood.x.low)


def test_without_samples_there_is_a_likelihood_alone(rows, table):
    only = summarise(table(rows)).filter(pl.col("metric") != "swd")
    assert [type(chart) for chart in charts(only)] == [DotChart]
    assert findings(only)[1] == []


def test_error_bars_end_within_the_plot(rows, text_rows, table):
    made = [each for given in (rows, text_rows) for each in charts(summarise(table(given))) if isinstance(each, Chart)]
    marks = [mark for each in made for panel in each.panels for series in panel.series for mark in series.marks]
    assert len(made) == 4
    assert all(0 <= mark.low <= mark.y <= mark.high <= 100 for mark in marks)


def test_lines_of_one_sampler_have_marks_of_their_own(rows, table):
    sequential = [row for row in rows if row["schedule"] == "sequential"]
    more = [row | {"model": f"di-{steps}", "latent_steps": steps} for steps in (2, 3, 4) for row in sequential]
    steps, *_ = charts(summarise(table(rows + more)))
    assert isinstance(steps, Chart)
    shapes = [key.shape for key in steps.keys if "sequential" in key.name]
    assert sorted(shapes) == sorted(SHAPES)
