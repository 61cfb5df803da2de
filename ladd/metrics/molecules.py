"""What metrics of molecules ask of their task, and how those that see valid strings alone are counted."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from torch import Tensor

from ladd.data import chemistry
from ladd.errors import ConfigError
from ladd.metrics.base import Metric, Need, Samples, Source

Against = Literal["test", "test_scaffolds"]


class Statistics(NamedTuple):
    """Of a set of molecules that samples are compared with.

    Attributes:
        mean, covariance: of ChemNet's features, (h,) and (h, h).
        fingerprints: uint8 (m, F / 8), eight bits in a number.
        fragments, scaffolds: how often each occurs.
    """

    mean: np.ndarray
    covariance: np.ndarray
    fingerprints: np.ndarray
    fragments: Counter[str]
    scaffolds: Counter[str]


class MoleculeSource(Source):
    """A task whose samples are SMILES strings.

    Attributes:
        device: where networks that measure run.
    """

    device: Any

    @property
    @abstractmethod
    def pad(self) -> int:
        """Id that fills the positions after a string."""

    @property
    @abstractmethod
    def reference_name(self) -> str:
        """Of what samples are compared with, and its version."""

    @abstractmethod
    def statistics(self, against: Against) -> Statistics:
        """Of the molecules that samples are compared with."""

    @abstractmethod
    def is_known(self, texts: list[str]) -> list[bool]:
        """Which canonical strings are among those of the training set as it was published."""

    @property
    @abstractmethod
    def patterns(self) -> list[Any]:
        """Unwanted substructures."""


class MoleculeMetric(Metric):
    """A number of strings; n counts all samples, those that are not valid too."""

    needs: ClassVar[tuple[Need, ...]] = ("texts",)

    def counted(self, samples: Samples) -> str:
        return self.source(samples).reference_name

    def source(self, samples: Samples) -> MoleculeSource:
        """The task.

        Raises:
            ConfigError: its samples are no molecules.
        """
        if not isinstance(samples.source, MoleculeSource):
            task = type(samples.source).__name__
            raise ConfigError(f"evaluation.metrics.{self.name}: samples of {task} are no molecules; remove the metric")
        return samples.source

    def molecules(self, samples: Samples) -> list[str]:
        """The canonical strings of the valid samples, repeats included."""
        self.source(samples)
        return chemistry.valid(samples.texts)


def lengths(x: Tensor, pad: int) -> Tensor:
    """Tokens of each row of x int64 (n, N) that are not padding, int64 (n,)."""
    return (x != pad).sum(dim=1)


def misplaced(x: Tensor, pad: int) -> Tensor:
    """Rows, bool (n,), of x int64 (n, N) in which a token stands behind padding."""
    is_pad = x == pad
    return (is_pad[:, :-1] & ~is_pad[:, 1:]).any(dim=1)
