"""What a metric is, and the samples that it is computed of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any, ClassVar, Literal

from torch import Tensor

from ladd.config.blocks import Block
from ladd.errors import ConfigError
from ladd.evaluation.estimate import Estimate
from ladd.evaluation.teacher import TeacherScores
from ladd.registry import find

Need = Literal["texts", "real", "teacher", "features"]


class Source(ABC):
    """What a task tells metrics of its samples; what is slow to load is loaded where it is first asked for.

    Attributes:
        seed: of the suite.
    """

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
        source: the task.
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
        unit: of the value; "" for a ratio or count.
        better: which direction.
        factor: from the stored value to the shown one.
        digits: that are shown after the point.
        essential: printed in the terminal too.
        order: place among the tables, ascending.
        needs: besides tokens; the value is computed anew where one of these is another.
        Settings: its block of params.yaml.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str] = ""
    better: ClassVar[Literal["lower", "higher"] | None] = None
    factor: ClassVar[float] = 1.0
    digits: ClassVar[int] = 4
    essential: ClassVar[bool] = False
    order: ClassVar[int] = 100
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
        name: of the metric.
        settings: values of its block.
        key: of params.yaml, for the message.
    Raises:
        ConfigError: nothing is registered under the name.
    """
    return find("ladd.metrics", Metric, name, key)(settings)
