"""The one schema of results: a row is one measurement."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from torch import Tensor

from ladd.evaluation import EVALUATOR_VERSION
from ladd.evaluation.diversity import positional_entropy, sequence_entropy
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.metrics import sliced_wasserstein


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
    temperature: float | None = None
    given: str = ""
    nfe: float | None = None
    gmacs_per_sample: float | None = None
    nominal_gmacs_per_sample: float | None = None
    gflops_per_sample: float | None = None
    seconds_per_sample: float | None = None  # filled in where results are shown
    metric: str = ""
    value: float = float("nan")
    stderr: float | None = None
    n: int = 0
    documents: int | None = None  # that the n sequences are of, where the error is that over documents
    precision: str = "float64"
    evaluator_version: str = EVALUATOR_VERSION
    tokenizer: str = ""  # whose tokens were counted: that of the data, or of the teacher; "" without text
    seed: int | None = None


@dataclass(frozen=True)
class TimeRow:
    """Token loss of one model in one bin of t_x."""

    model: str  # key of the model
    sweep: str
    family: str
    latents: str = ""  # clean, noisy, shared or masked; "" without latents
    t_low: float = 0.0
    t_high: float = 1.0
    weighted: float = float("nan")  # share of the bin in the token loss with the ELBO weight, nats per token
    weighted_stderr: float | None = None
    per_masked: float | None = None  # nats per masked token; None where none was masked
    per_masked_stderr: float | None = None
    n: int = 0  # sequences
    documents: int | None = None  # that they are of; None where each is independent
    evaluator_version: str = EVALUATOR_VERSION


@dataclass(frozen=True)
class SampleMetricSettings:
    """How sample metrics are computed.

    Attributes:
        directions: of the sliced Wasserstein distance.
        seed: of the directions; one for all models.
    """

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
    positional = positional_entropy(samples)
    return [
        measured(row, "swd", estimate(distances)._replace(n=len(samples))),
        measured(row, "entropy_sequence", estimate(sequence_entropy(samples))),
        replace(row, metric="entropy_positional", value=positional, n=len(samples)),
    ]
