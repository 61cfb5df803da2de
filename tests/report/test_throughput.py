"""Sequences per second per point of Gen PPL against numbers worked out by hand."""

from __future__ import annotations

from ladd.report.blocks import throughput
from ladd.report.select import summarise


def test_one_over_seconds_and_perplexity_with_the_error_of_the_perplexity(text_rows, table):
    block = throughput(summarise(table(text_rows)))
    assert block.columns == ("model", "schedule", "1", "2", "4", "8", "64")
    [mdlm] = [row for row in block.rows if row[0] == "mdlm"]
    # 0.01, 0.02, 0.04 and 0.08 seconds at a Gen PPL of 1000 +- 30, 600 +- 20, 400 +- 10 and 300 +- 5.
    assert mdlm[2:] == ("100.00±3.00 · 4.40", "83.33±2.78 · 4.40", "62.50±1.56 · 4.40", "41.67±0.69 · 4.40", "-")
    assert not block.essential


def test_real_text_takes_no_time_and_has_no_throughput(text_rows, table):
    block = throughput(summarise(table(text_rows)))
    assert block.references == ()
    assert "real" not in {row[0] for row in block.rows}


def test_without_gen_ppl_there_is_no_table(rows, table):
    assert throughput(summarise(table(rows))).rows == ()
