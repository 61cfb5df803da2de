"""The frontier takes temperatures at stated budgets, and pairs each Gen PPL with the entropy of the same samples."""

from __future__ import annotations

import polars as pl
import pytest

from ladd.errors import ArtifactError
from ladd.report.blocks import at_budget, frontier, frontier_blocks
from ladd.report.figures import plot_frontier
from ladd.report.select import summarise
from tests.report.drawing import twice


@pytest.fixture
def swept(text_rows) -> list[dict]:
    """Temperatures 0.5 and 1 at every budget of MDLM and AR: at 0.5 Gen PPL is halved and entropy 0.3 lower."""
    changes = {"gen_ppl": lambda x: x / 2, "entropy_sequence": lambda x: x - 0.3}
    return text_rows + [
        row | {"temperature": 0.5, "value": changes[row["metric"]](row["value"])}
        for row in text_rows
        if row["model"] in ("mdlm", "ar") and row["metric"] in changes
    ]


def test_budgets_are_those_with_several_temperatures(swept, text_rows, table):
    summary = summarise(table(swept))
    assert frontier(summary)[2] == [1, 4, 8]  # first, middle and last of 1, 2, 4, 8; AR's 64 is no choice
    assert frontier(summary.filter(pl.col("token_steps") != 2))[2] == [1, 4, 8]
    assert frontier(summary.filter(pl.col("token_steps") == 2))[2] == [2]
    assert frontier(summarise(table(text_rows)))[2] == []


def test_rows_pair_both_metrics_of_the_same_samples(swept, table):
    rows = at_budget(frontier(summarise(table(swept)))[0], 4).filter(pl.col("model").is_in(["mdlm", "ar"]))
    found = sorted(rows.select("model", "temperature", "value", "diversity").rows())
    assert found == [
        ("ar", 0.5, 75.0, pytest.approx(4.11)),
        ("ar", 1.0, 150.0, pytest.approx(4.41)),
        ("mdlm", 0.5, 200.0, pytest.approx(4.1)),
        ("mdlm", 1.0, 400.0, pytest.approx(4.4)),
    ]


def test_block_per_budget_with_temperatures_as_columns(swept, table):
    made = frontier_blocks(summarise(table(swept)))
    assert [block.title.split(", ")[1] for block in made] == ["at 1 token step", "at 4 token steps", "at 8 token steps"]
    assert made[1].columns == ("model", "schedule", "T 0.5", "T 1")
    rows = {row[0]: row[2:] for row in (*made[1].references, *made[1].rows)}
    assert rows["mdlm"] == ("200.0±5.0 · 4.10", "400.0±10.0 · 4.40")
    assert rows["co-8"] == ("-", "350.0±10.0 · 4.42")
    assert rows["real"] == ("42.0±1.0 · 4.40",) * 2
    assert frontier_blocks(summarise(table(swept)).filter(pl.col("temperature") == 1)) == []


def test_figure(swept, text_rows, table, tmp_path):
    other = [
        row | {"value": 9.0} if row["metric"] == "gen_ppl" and row["model"] == "ar" and row["seed"] else row
        for row in swept
    ]
    twice(plot_frontier, summarise(table(swept)), summarise(table(other)), tmp_path)
    with pytest.raises(ArtifactError, match="several temperatures"):
        plot_frontier(summarise(table(text_rows)), tmp_path / "none.png")
