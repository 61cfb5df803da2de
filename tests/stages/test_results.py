"""Points of curves from result rows: means and standard errors, by budget and temperature."""

from dataclasses import replace

import pytest

from ladd.evaluation.rows import Row
from ladd.stages.results import Curve, read_curve, read_results, summary_points, write_results

ROW = Row(suite="s", model="m", family="mdlm", metric="swd", n=8, token_steps=2, temperature=1.0)


def seeds(*values: float, **changes) -> list[Row]:
    return [replace(ROW, value=value, stderr=9.0, seed=seed, **changes) for seed, value in enumerate(values)]


@pytest.fixture
def table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bound = replace(ROW, metric="val_ppl", value=90.0, stderr=0.5, token_steps=None, temperature=None)
    exact = replace(bound, metric="zero_shot_ppl/news", value=80.0, stderr=None)
    sampled = [*seeds(0.25, 0.75), *seeds(0.5, token_steps=4), *seeds(1.0, 3.0, temperature=0.7)]
    return write_results("m", [bound, exact, *sampled])


def test_points_are_means_and_standard_errors(table):
    # Of two values, the sample standard deviation over the square root of 2 is half their distance.
    assert summary_points(table) == [
        (0, {"val_ppl": 90.0, "val_ppl/stderr": 0.5, "zero_shot_ppl/news": 80.0}),
        (
            2,
            {
                "swd": 0.5,
                "swd/stderr": pytest.approx(0.25),
                "swd/temperature_0.7": 2.0,
                "swd/stderr/temperature_0.7": pytest.approx(1.0),
            },
        ),
        (4, {"swd": 0.5, "swd/stderr": 9.0}),
    ]


def test_temperatures_that_are_almost_equal_are_points_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [*seeds(1.0, temperature=0.1234567), *seeds(2.0, temperature=0.1234568), *seeds(3.0, temperature=1.0000001)]
    ((step, values),) = summary_points(write_results("m", rows))
    assert step == 2
    assert {name: value for name, value in values.items() if "stderr" not in name} == {
        "swd/temperature_0.1234567": 1.0,
        "swd/temperature_0.1234568": 2.0,
        "swd/temperature_1.0000001": 3.0,
    }


def test_written_table_is_read_as_it_was(table, tmp_path):
    assert read_results(tmp_path / "results/evaluate/m.csv").equals(table)


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("swd", Curve("swd", 1.0, is_stderr=False)),
        ("swd/stderr", Curve("swd", 1.0, is_stderr=True)),
        ("gen_ppl/temperature_0.7", Curve("gen_ppl", 0.7, is_stderr=False)),
        ("gen_ppl/stderr/temperature_0.7", Curve("gen_ppl", 0.7, is_stderr=True)),
        ("zero_shot_ppl/news/stderr", Curve("zero_shot_ppl/news", 1.0, is_stderr=True)),
    ],
)
def test_name_of_a_curve_says_what_it_is(name, curve):
    assert read_curve(name) == curve


def test_every_curve_can_be_read_back(table):
    names = {name for _, values in summary_points(table) for name in values}
    assert {read_curve(name)[:2] for name in names} == {
        ("val_ppl", 1.0),
        ("zero_shot_ppl/news", 1.0),
        ("swd", 1.0),
        ("swd", 0.7),
    }
