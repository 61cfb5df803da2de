"""Rows of results: values, standard errors, counts and precision."""

import dataclasses
import math

import pytest
import torch

from ladd.evaluation import EVALUATOR_VERSION
from ladd.evaluation.diversity import positional_entropy, sequence_entropy
from ladd.evaluation.estimate import Estimate
from ladd.evaluation.metrics import sliced_wasserstein
from ladd.evaluation.rows import COLUMNS, Row, SampleMetricSettings, measured, sample_rows

ROW = Row(suite="s", model="m", family="mdlm", token_steps=4, nfe=3.5, precision="float32", seed=2)
SETTINGS = SampleMetricSettings(directions=40, seed=5)


@pytest.fixture
def rows() -> dict[str, Row]:
    samples, real = torch.randint(3, (30, 6)), torch.randint(3, (30, 6))
    rows = {row.metric: row for row in sample_rows(ROW, samples, real, SETTINGS)}
    rows["sets"] = samples, real
    return rows


def test_measured_fills_in_the_estimate_and_keeps_the_rest():
    row = measured(ROW, "token_elbo", Estimate(0.5, 0.01, 7))
    assert (row.metric, row.value, row.stderr, row.n) == ("token_elbo", 0.5, 0.01, 7)
    blank = dataclasses.replace(row, metric="", value=math.nan, stderr=None, n=0)
    assert repr(blank) == repr(ROW)


def test_distance_row_has_the_mean_over_directions_and_counts_samples(rows):
    distances = sliced_wasserstein(*rows["sets"], 40, 5)
    assert rows["swd"].value == pytest.approx(float(distances.mean()))
    assert rows["swd"].stderr == pytest.approx(float(distances.std()) / 40**0.5)
    assert rows["swd"].n == 30


def test_each_entropy_is_under_its_own_name(rows):
    samples, _ = rows["sets"]
    values = sequence_entropy(samples)
    assert rows["entropy_sequence"].value == pytest.approx(float(values.mean()))
    assert rows["entropy_sequence"].stderr == pytest.approx(float(values.std()) / 30**0.5)
    assert rows["entropy_positional"].value == pytest.approx(positional_entropy(samples))
    assert rows["entropy_positional"].stderr is None
    assert rows["entropy_sequence"].n == rows["entropy_positional"].n == 30
    assert abs(rows["entropy_sequence"].value - rows["entropy_positional"].value) > 0.05


@pytest.mark.parametrize("metric", ["swd", "entropy_sequence", "entropy_positional"])
def test_rows_keep_what_was_sampled_and_how(rows, metric):
    row = rows[metric]
    kept = ("suite", "model", "family", "token_steps", "nfe", "precision", "seed")
    assert all(getattr(row, name) == getattr(ROW, name) for name in kept)
    assert row.evaluator_version == EVALUATOR_VERSION


def test_columns_are_the_fields_of_a_row():
    assert list(COLUMNS) == [field.name for field in dataclasses.fields(Row)]
    assert {"precision", "stderr", "n", "evaluator_version"} <= set(COLUMNS)
