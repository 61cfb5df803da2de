"""Values of metrics are computed once for one set of samples, and anew for everything that they depend on."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import pytest
import torch

from ladd.evaluation.estimate import Estimate
from ladd.evaluation.rows import Row
from ladd.metrics.base import FILE, Metric, Samples, Values
from ladd.metrics.entropy import SequenceEntropy

ROW, CPU = Row("suite", "model", "family"), {"device": "cpu", "threads": 1}
X = torch.tensor([[0, 1, 2], [2, 2, 0]])


class Counting(Metric):
    """Counts how often it is computed."""

    name, version, title, needs = "counting", "7", "", ("real", "texts")
    count = 0

    def measure(self, samples: Samples) -> Estimate:
        Counting.count += 1
        return Estimate(math.pi, math.nan, len(samples))


def source(**changes) -> SimpleNamespace:
    given = {
        "seed": 1,
        "special": (2,),
        "tokenizer_name": "t",
        "texts": lambda x: ["a", "b"],
        "compared": lambda index, count: X + index,
    }
    return SimpleNamespace(**given | changes)


def computed(folder, samples: Samples, metric: Metric, compute: dict = CPU) -> int:
    """How often a metric is computed with the values that are kept in a folder."""
    before, values = Counting.count, Values(folder, compute)
    (row,) = values.rows([metric], samples, ROW)
    assert (row.metric, row.value, row.n) == (metric.name, math.pi, len(samples))
    assert (row.evaluator_version, row.tokenizer) == (metric.version, "t")
    values.save(folder / "output")
    return Counting.count - before


def test_value_is_computed_once(tmp_path):
    assert [computed(tmp_path, Samples(source(), X, 0), Counting({})) for _ in range(3)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("samples", "version", "compute"),
    [
        (Samples(source(), X.flip(0), 0), "7", CPU),
        (Samples(source(), X[:1], 0), "7", CPU),
        (Samples(source(), X, 1), "7", CPU),  # compared with other real sequences
        (Samples(source(), X, 0, ["c", "d"]), "7", CPU),
        (Samples(source(seed=2), X, 0), "7", CPU),
        (Samples(source(special=()), X, 0), "7", CPU),
        (Samples(source(), X, 0), "8", CPU),
        (Samples(source(), X, 0), "7", CPU | {"threads": 2}),
    ],
)
def test_whatever_it_depends_on_computes_it_anew(tmp_path, monkeypatch, samples, version, compute):
    computed(tmp_path, Samples(source(), X, 0), Counting({}))
    monkeypatch.setattr(Counting, "version", version)
    assert computed(tmp_path, samples, Counting({}), compute) == 1


def test_value_of_samples_that_come_back_is_there(tmp_path):
    before = Samples(source(), X, 0)
    assert [computed(tmp_path, each, Counting({})) for each in (before, Samples(source(), X.flip(0), 0), before)] == [
        1,
        1,
        0,
    ]


def test_another_metric_leaves_it_and_an_output_has_what_was_asked_for_alone(tmp_path):
    computed(tmp_path, Samples(source(), X, 0), Counting({}))
    values = Values(tmp_path, CPU)
    before = Counting.count
    rows = values.rows([Counting({}), SequenceEntropy({})], Samples(source(), X, 0), ROW)
    assert (Counting.count, [row.metric for row in rows]) == (before, ["counting", "entropy_sequence"])
    values.save(tmp_path / "output")
    assert len(json.loads((tmp_path / "output" / FILE).read_text())) == 2
    Values(tmp_path, CPU).save(tmp_path / "output")
    assert json.loads((tmp_path / "output" / FILE).read_text()) == {}


def test_damaged_values_are_as_good_as_none(tmp_path):
    (tmp_path / FILE).write_text("{")
    assert computed(tmp_path, Samples(source(), X, 0), Counting({})) == 1
