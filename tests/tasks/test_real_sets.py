"""No sequence that a sampler is given, or that makes the floor, is among those that samples are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ladd.config import Suite, load_suite
from ladd.evaluation.rows import Row
from ladd.metrics.base import Samples
from ladd.stages.sample import starting_tokens
from ladd.tasks import Task, sawtooth, task_of
from ladd.tasks.sawtooth import Sawtooth
from ladd.tasks.text import TextTask, references

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))]
SUITES = {folder.name: load_suite(folder / "params.yaml") for folder in FOLDERS}
DRAWN = {name: suite for name, suite in SUITES.items() if suite.evaluation.kind in ("sawtooth", "text")}
SWEEPS = [(name, key) for name, suite in DRAWN.items() for key in suite.sweeps]
CPU, ROW = torch.device("cpu"), Row("suite", "model", "family")


class Split:
    """As many real sequences as a suite needs; it remembers which of them were read."""

    def __init__(self, suite: Suite, data: str):
        reference = suite.evaluation.reference
        uses = 3 if any(sweep.given for sweep in suite.sweeps.values()) else 2
        self.count, self.tokens = uses * reference.samples * len(reference.seeds), suite.data[data].tokens
        self.read: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        self.read += rows.tolist()
        return torch.zeros(len(rows), self.tokens, dtype=torch.int64)

    def during(self, action: Callable[[], object]) -> list[int]:
        self.read = []
        action()
        return self.read


@pytest.fixture
def split(request, monkeypatch) -> Split:
    """Of the sweep that the test is called with; whatever is measured of its sequences is left out."""
    suite_name, key = request.node.callspec.params["suite"], request.node.callspec.params["key"]
    suite = SUITES[suite_name]
    made = Split(suite, suite.sweeps[key].data)
    monkeypatch.setattr(Task, "rows", lambda *_: made)
    monkeypatch.setattr(TextTask, "decode", lambda *_: "")
    monkeypatch.setattr(references, "ngram_rows", lambda *_: [])
    passes = SimpleNamespace(tokens=torch.zeros(2, made.tokens), token_passes=torch.zeros(2))
    monkeypatch.setattr(sawtooth, "sample_in_batches", lambda *_: passes)
    monkeypatch.setattr(Sawtooth, "_exact_likelihood", lambda *_: [])
    return made


class NoValues:
    """Measures nothing, but reads the samples."""

    def rows(self, metrics, samples, row) -> list:
        return []


def floor(task: Task) -> None:
    """The reference rows of a data set, without what they are compared with."""
    if isinstance(task, TextTask):
        references.real_rows(task, ROW, NoValues())
    else:
        task.reference_rows(ROW, NoValues())


@pytest.mark.parametrize(("suite", "key"), SWEEPS)
def test_given_compared_and_floor_sequences_are_disjoint(suite, key, split):
    suite = SUITES[suite]
    sweep = suite.sweeps[key]
    task, sets = task_of(suite, sweep.data), []
    for index, seed in suite.numbered_seeds(key):
        run = SimpleNamespace(index=index, seed=seed)
        given = split.during(lambda run=run: starting_tokens(suite, sweep, run, CPU))
        samples = Samples(task, torch.zeros(sweep.samples, split.tokens), index)
        against = split.during(lambda samples=samples: samples.real)
        assert len(given) == (0 if sweep.given is None else sweep.samples)
        assert len(against) == sweep.samples
        sets += [given, against]
    sets.append(split.during(lambda: floor(task)))
    assert len(sets[-1]) == len(suite.evaluation.reference.seeds) * sweep.samples
    read = [row for rows in sets for row in rows]
    assert len(set(read)) == len(read)
