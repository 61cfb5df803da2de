"""The schema of result rows."""

import dataclasses
import math

from ladd.evaluation.estimate import Estimate
from ladd.evaluation.rows import COLUMNS, Row, measured

ROW = Row(suite="s", model="m", family="mdlm", token_steps=4, nfe=3.5, precision="float32", seed=2)


def test_measured_fills_in_the_estimate_and_keeps_the_rest():
    row = measured(ROW, "token_elbo", Estimate(0.5, 0.01, 7))
    assert (row.metric, row.value, row.stderr, row.n) == ("token_elbo", 0.5, 0.01, 7)
    blank = dataclasses.replace(row, metric="", value=math.nan, stderr=None, n=0)
    assert repr(blank) == repr(ROW)


def test_columns_are_the_fields_of_a_row():
    assert list(COLUMNS) == [field.name for field in dataclasses.fields(Row)]
    assert {"precision", "stderr", "n", "evaluator_version"} <= set(COLUMNS)
