"""Quality at equal diversity: between temperatures, in closed form, with its error; passes made and charged."""

import math

import pytest

from ladd.report.blocks import blocks, equal_blocks
from ladd.report.equal_diversity import Heat, at_diversity
from ladd.report.select import summarise
from tests.report.test_frontier import swept  # noqa: F401

COLD, WARM = Heat(0.5, 100.0, 5.0, 4.0, 0.1, 3.0), Heat(1.0, 400.0, 8.0, 5.0, 0.3, 5.0)


def test_half_way_is_the_geometric_mean_of_a_quality_in_logs():
    found = at_diversity([WARM, COLD], (4.5, 0.0), log=True)
    assert found.value == pytest.approx(200.0)
    assert (found.temperature, found.passes) == (0.75, 4.0)
    slope = math.log(4)
    assert found.error == pytest.approx(200 * math.hypot(0.025, 0.01, slope * 0.05, slope * 0.15))


def test_linear_quality_and_an_error_of_the_target():
    found = at_diversity([COLD, WARM], (4.25, 0.2), log=False)
    assert found.value == pytest.approx(175.0)
    assert found.error == pytest.approx(math.hypot(0.75 * 5, 0.25 * 8, 300 * 0.075, 300 * 0.075, 300 * 0.2))


@pytest.mark.parametrize("target", [3.9, 5.1])
def test_it_does_not_extrapolate(target):
    assert at_diversity([COLD, WARM], (target, 0.0), log=True) is None
    assert at_diversity([COLD], (4.0, 0.0), log=True) is None


def test_a_measured_diversity_gives_what_was_measured():
    found = at_diversity([COLD, WARM], (5.0, None), log=True)
    assert (found.value, found.temperature) == (pytest.approx(400.0), 1.0)
    assert found.error == pytest.approx(400 * math.hypot(0.02, math.log(4) * 0.3))


def test_an_unknown_error_is_none():
    assert at_diversity([COLD._replace(diversity_error=None), WARM], (4.5, 0.0), log=True).error is None


def test_a_block_for_each_budget(swept, table):  # noqa: F811
    """At temperature 0.5 Gen PPL is halved, and entropy 0.3 lower; real data are at 4.40."""
    summary = summarise(table(swept))
    made = equal_blocks(summary)
    assert [block.title.split(", ")[1] for block in made] == ["at 1 token step", "at 4 token steps", "at 8 token steps"]
    block = made[1]
    assert block.columns == ("model", "schedule", "Gen PPL", "temperature", "passes made", "passes charged")
    rows = {row[0]: row[2:] for row in block.rows}
    assert rows["mdlm"][0].startswith("400.0±")
    assert rows["mdlm"][1:] == ("1.00", "-", "4")  # passes are not among these rows
    assert float(rows["ar"][0].split("±")[0]) == pytest.approx(150 * 2 ** (-0.01 / 0.3), abs=0.05)
    assert "co-8" not in rows
    assert block.title in [each.title for each in blocks(summary)]


def test_nothing_without_several_temperatures(text_rows, table):
    assert equal_blocks(summarise(table(text_rows))) == []
