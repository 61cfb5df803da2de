"""What a metric is, and the samples that it is computed of."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from ladd.config.blocks import Block
from ladd.errors import ConfigError
from ladd.evaluation.estimate import Estimate
from ladd.evaluation.rows import Row, measured
from ladd.evaluation.teacher import TeacherScores
from ladd.files import write_json
from ladd.registry import find

Need = Literal["texts", "real", "teacher", "features"]


class Source(ABC):
    """What a task tells metrics of its samples; what is slow to load is loaded where it is first asked for."""

    seed: int

    @property
    def special(self) -> tuple[int, ...]:
        """Ids that are no content, such as BOS and EOS."""
        return ()

    @property
    def tokenizer_name(self) -> str:
        """Whose ids the samples are; "" without text."""
        return ""

    @abstractmethod
    def texts(self, x: Tensor) -> list[str]:
        """Samples int64 (n, N) as people read them."""

    @abstractmethod
    def compared(self, index: int, count: int) -> Tensor:
        """The real sequences that samples of the index-th seed are compared with, int64 (count, N)."""

    @property
    def teacher_name(self) -> str:
        """Model and rule that texts are scored with."""
        raise self._lacks("teacher")

    def scores(self, texts: list[str]) -> TeacherScores:
        """Of texts under the teacher."""
        raise self._lacks("teacher")

    @property
    def features_name(self) -> str:
        """Model whose states stand for texts."""
        raise self._lacks("features")

    def features(self, x: Tensor) -> Tensor:
        """A vector for each of the samples int64 (n, N): (n, h)."""
        raise self._lacks("features")

    def compared_features(self, index: int, count: int) -> Tensor:
        """Those of the real sequences that `compared` gives, (count, h)."""
        return self.features(self.compared(index, count))

    def _lacks(self, what: str) -> ConfigError:
        return ConfigError(f"evaluation.metrics: {type(self).__name__} has no {what}; remove the metric that needs one")


class Samples:
    """A set of samples, and what metrics may want to know of it.

    Args:
        tokens: int64 (n, N).
        index: number of the sampling seed: each is compared with real sequences of its own.
        texts: where they are not those of the tokens.
    """

    def __init__(self, source: Source, tokens: Tensor, index: int, texts: list[str] | None = None):
        self.source, self.tokens, self.index, self._texts = source, tokens, index, texts

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def texts(self) -> list[str]:
        """As people read them, special tokens left out."""
        return self.source.texts(self.tokens) if self._texts is None else self._texts

    @cached_property
    def real(self) -> Tensor:
        """As many real sequences to compare with, int64 (n, N); no sampler was given tokens of them."""
        return self.source.compared(self.index, len(self))


class NoSettings(Block):
    """Of a metric that has none."""


class Metric(ABC):
    """A number that is computed of a set of samples. A module of a metric holds a class of it, with a name.

    Attributes:
        name: as result rows and params.yaml have it.
        version: raise it when the value may change: rows of different versions are not compared.
        title: of tables and axes, with the unit.
        meaning: in one line, for readers who do not know it.
        factor: from the stored value to the shown one.
        digits: that are shown after the point.
        essential: printed in the terminal too.
        order: place among the tables, ascending.
        short: in a word or two, beside samples and in figures; "" where it stands in tables alone.
        axis: of its figures, where that is not ``short``.
        real_label: what the value of real data is called there.
        against: what figures show it against: token_steps, or costs of a row.
        better: lower or higher values.
        role: "quality" is held against compute, at equal "diversity"; of several in a table the first by order.
        equal: of a diversity: values are equal up to this difference.
        needs: besides tokens; the value is computed anew where one of these is another.
        Settings: its block of params.yaml.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    title: ClassVar[str]
    meaning: ClassVar[str] = ""
    factor: ClassVar[float] = 1.0
    digits: ClassVar[int] = 4
    essential: ClassVar[bool] = False
    order: ClassVar[int] = 100
    short: ClassVar[str] = ""
    axis: ClassVar[str] = ""
    real_label: ClassVar[str] = "Real data"
    against: ClassVar[tuple[str, ...]] = ()
    better: ClassVar[Literal["lower", "higher"]] = "lower"
    role: ClassVar[Literal["", "quality", "diversity"]] = ""
    equal: ClassVar[float] = 0.0
    needs: ClassVar[tuple[Need, ...]] = ()
    Settings: ClassVar[type[Block]] = NoSettings

    def __init__(self, settings: dict[str, Any]):
        self.settings: Any = self.Settings.model_validate(settings)

    @abstractmethod
    def measure(self, samples: Samples) -> Estimate:
        """The value, its standard error (None where it is unknown) and the number of samples in it."""

    def counted(self, samples: Samples) -> str:
        """Whose tokens, or what model, the value depends on: rows that differ in it are not compared."""
        return samples.source.tokenizer_name


def metric_of(name: str, settings: dict[str, Any], key: str) -> Metric:
    """The metric of that name with its settings.

    Args:
        key: of params.yaml, for the message.
    Raises:
        ConfigError: nothing is registered under the name.
    """
    return find("ladd.metrics", Metric, name, key)(settings)


FILE = "values.json"


class Values:
    """Values by the hash of all that they depend on.

    Args:
        folder: where earlier runs kept theirs; it need not exist, and a damaged one is as good as none.
        compute: device and threads, on which the order of sums depends.
    """

    def __init__(self, folder: Path, compute: dict[str, Any]):
        self.folder, self.compute = folder, compute
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
        """Write the values that were asked for into an output, and keep them for later runs beside those of before."""
        write_json(folder / FILE, {key: self._used[key] for key in sorted(self._used)})
        write_json(self.folder / FILE, self._known)


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
