"""Values of metrics that are kept: each is computed once for one set of samples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from ladd.evaluation.estimate import Estimate
from ladd.evaluation.rows import Row, measured
from ladd.files import write_json
from ladd.metrics.base import Metric, Samples

FILE = "values.json"


class Values:
    """Values by the hash of all that they depend on.

    Args:
        folder: of an earlier run of the stage; it need not exist, and a damaged one is as good as none.
        compute: device and threads, on which the order of sums depends.
    """

    def __init__(self, folder: Path, compute: dict[str, Any]):
        self.compute = compute
        self._used: dict[str, dict[str, Any]] = {}
        try:
            self._known = json.loads((folder / FILE).read_text())
        except (OSError, ValueError):
            self._known = {}

    def rows(self, metrics: Iterable[Metric], samples: Samples, row: Row) -> list[Row]:
        """A row for each metric; ``row`` says how the samples were made."""
        return [self._row(metric, samples, row) for metric in metrics]

    def _row(self, metric: Metric, samples: Samples, row: Row) -> Row:
        description = describe(metric, samples) | {"compute": self.compute}
        key = hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
        if key not in self._known:
            self._known[key] = {"metric": metric.name, **metric.measure(samples)._asdict()}
        self._used[key] = found = self._known[key]
        row = replace(row, evaluator_version=metric.version, tokenizer=description["counted"])
        return measured(row, metric.name, Estimate(found["value"], found["stderr"], found["n"]))

    def save(self, folder: Path) -> None:
        """Write the values that were asked for: those of other samples or settings are forgotten."""
        write_json(folder / FILE, {key: self._used[key] for key in sorted(self._used)})


def describe(metric: Metric, samples: Samples) -> dict[str, Any]:
    """All that the value of a metric depends on, as plain values."""
    source = samples.source
    known = {
        "texts": lambda: _hash(json.dumps(samples.texts).encode()),
        "real": lambda: _tokens_hash(samples.real),
        "teacher": lambda: source.teacher_name,
        "features": lambda: source.features_name,
    }
    return {
        "metric": metric.name,
        "version": metric.version,
        "settings": metric.settings.model_dump(),
        "seed": source.seed,
        "samples": _tokens_hash(samples.tokens),
        "special": source.special,
        "counted": metric.counted(samples),
        **{need: known[need]() for need in metric.needs},
    }


def _tokens_hash(x: Tensor) -> str:
    return _hash(repr(tuple(x.shape)).encode() + x.long().cpu().numpy().tobytes())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
