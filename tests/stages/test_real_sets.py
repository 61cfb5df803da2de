"""No sequence that a sampler is given, or that makes the floor, is among those that samples are compared with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ladd.config import Suite, load_suite
from ladd.evaluation.rows import Row
from ladd.stages import measure, measure_text, real, reference_sawtooth, reference_text
from ladd.stages.measure import SawtoothMeasures
from ladd.stages.measure_text import TextMeasures
from ladd.stages.sample import starting_tokens

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))]
SUITES = {folder.name: load_suite(folder / "params.yaml") for folder in FOLDERS}
SWEEPS = [(name, key) for name, suite in SUITES.items() for key in suite.sweeps]
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
    monkeypatch.setattr(real, "load_tokens", lambda *_: made)
    monkeypatch.setattr(measure, "sample_rows", lambda *_: [])
    monkeypatch.setattr(measure_text, "load_tokenizer", lambda _: SimpleNamespace(name=""))
    monkeypatch.setattr(measure_text, "mauve", lambda *_, **__: 0.0)
    monkeypatch.setattr(TextMeasures, "features", lambda _, x: x)
    monkeypatch.setattr(TextMeasures, "texts", lambda _, x: [""] * len(x))
    monkeypatch.setattr(TextMeasures, "teacher_rows", lambda *_: [])
    monkeypatch.setattr(reference_text, "ngram_rows", lambda *_: [])
    passes = SimpleNamespace(tokens=torch.zeros(2, made.tokens), token_passes=torch.zeros(2))
    monkeypatch.setattr(reference_sawtooth, "sample_in_batches", lambda *_: passes)
    return made


def compared(suite: Suite, data: str, index: int, count: int) -> None:
    """Measure ``count`` samples of the index-th seed."""
    x = torch.zeros(count, suite.data[data].tokens, dtype=torch.int64)
    if suite.evaluation.kind == "text":
        TextMeasures(suite, data, CPU).mauve_row(ROW, x, index)
    else:
        SawtoothMeasures(suite, data, CPU).rows(ROW, x, index)


def floor(suite: Suite, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference rows of a data set, without what they are compared with."""
    for measures in (TextMeasures, SawtoothMeasures):
        monkeypatch.setattr(measures, "rows", lambda *_: [])
    if suite.evaluation.kind == "text":
        reference_text.text_rows(suite, data, ROW, CPU)
    else:
        reference_sawtooth.sampling_rows(suite, data, ROW, SimpleNamespace(mask_id=2), CPU)


@pytest.mark.parametrize(("suite", "key"), SWEEPS)
def test_given_compared_and_floor_sequences_are_disjoint(suite, key, split, monkeypatch):
    suite = SUITES[suite]
    sweep = suite.sweeps[key]
    sets = []
    for index in range(len(sweep.seeds)):
        given = split.during(lambda index=index: starting_tokens(suite, sweep, index, CPU))
        against = split.during(lambda index=index: compared(suite, sweep.data, index, sweep.samples))
        assert len(given) == (0 if sweep.given is None else sweep.samples)
        assert len(against) == sweep.samples
        sets += [given, against]
    sets.append(split.during(lambda: floor(suite, sweep.data, monkeypatch)))
    assert len(sets[-1]) == len(sweep.seeds) * sweep.samples
    read = [row for rows in sets for row in rows]
    assert len(set(read)) == len(read)
