"""The one schema of results: a row is one measurement."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from torch import Tensor

from ladd.evaluation import EVALUATOR_VERSION
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.metrics import (
    positional_entropy,
    sequence_entropy,
    sliced_wasserstein,
)


@dataclass(frozen=True)
class Row:
    """One measurement; None where a column does not apply. ``model`` is the key of the sweep."""

    suite: str
    model: str
    family: str
    schedule: str = "none"
    L: int | None = None
    K: int | None = None
    w: int | None = None
    token_steps: int | None = None
    latent_steps: int | None = None
    nfe: float | None = None
    gmacs_per_sample: float | None = None
    metric: str = ""
    value: float = float("nan")
    stderr: float | None = None
    n: int = 0
    precision: str = "float64"
    evaluator_version: str = EVALUATOR_VERSION
    seed: int | None = None


@dataclass(frozen=True)
class SampleMetricSettings:
    """How sample metrics are computed.

    Attributes:
        vocabulary: V.
        directions: of the sliced Wasserstein distance.
        seed: of the directions; one for all models.
    """

    vocabulary: int
    directions: int
    seed: int


COLUMNS = [field.name for field in fields(Row)]


def measured(row: Row, metric: str, result: Estimate) -> Row:
    """A row with a measurement filled in."""
    return replace(row, metric=metric, value=result.value, stderr=result.stderr, n=result.n)


def sample_rows(row: Row, samples: Tensor, real: Tensor, settings: SampleMetricSettings) -> list[Row]:
    """Sample metrics of one set of samples int64 (n, N) against as many real sequences.

    The standard error of swd is that of the mean over directions. The one over sampling seeds is what models are
    compared by; it is taken where seeds are averaged.
    """
    distances = sliced_wasserstein(samples, real, settings.directions, settings.seed)
    positional = positional_entropy(samples, settings.vocabulary)
    return [
        measured(row, "swd", estimate(distances)._replace(n=len(samples))),
        measured(row, "entropy_sequence", estimate(sequence_entropy(samples, settings.vocabulary))),
        replace(row, metric="entropy_positional", value=positional, n=len(samples)),
    ]
