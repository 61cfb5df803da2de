"""What metrics of short strings ask of their task."""

from __future__ import annotations

from abc import abstractmethod

from torch import Tensor

from ladd.errors import ConfigError
from ladd.metrics.base import Metric, Samples, Source


class StringSource(Source):
    """A task whose samples are strings, one per row."""

    @property
    @abstractmethod
    def end(self) -> int:
        """Id that fills the positions after a string."""

    @abstractmethod
    def is_known(self, x: Tensor) -> list[bool]:
        """Which rows of x int64 (n, N) are among the training rows."""


class StringMetric(Metric):
    """A number of strings, one per row."""

    def source(self, samples: Samples) -> StringSource:
        """The task.

        Raises:
            ConfigError: its samples are no padded strings.
        """
        if not isinstance(samples.source, StringSource):
            task = type(samples.source).__name__
            raise ConfigError(f"evaluation.metrics.{self.name}: {task} has no string per row; remove the metric")
        return samples.source


def lengths(x: Tensor, end: int) -> Tensor:
    """Tokens of each row of x int64 (n, N) that are not padding, int64 (n,)."""
    return (x != end).sum(dim=1)


def broken(x: Tensor, end: int) -> Tensor:
    """Rows, bool (n,), of x int64 (n, N) in which a token stands behind padding, or that are empty."""
    is_end = x == end
    return (is_end[:, :-1] & ~is_end[:, 1:]).any(dim=1) | is_end.all(dim=1)
