"""The one schema of results: a row is one measurement."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from ladd.evaluation import LIKELIHOOD_VERSION
from ladd.evaluation.estimate import Estimate


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
    evaluator_version: str = LIKELIHOOD_VERSION
    tokenizer: str = ""  # whose tokens were counted: that of the data, or of the teacher; "" without text
    seed: int | None = None
    replicate: int = 1  # of the training


@dataclass(frozen=True)
class TimeRow:
    """Token loss of one model in one bin of t_x."""

    model: str  # key of the model, with its replicate
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
    evaluator_version: str = LIKELIHOOD_VERSION


COLUMNS = [field.name for field in fields(Row)]
# What a sample costs, in the order of figures.
COSTS = ("nominal_gmacs_per_sample", "gmacs_per_sample", "gflops_per_sample", "seconds_per_sample")


def measured(row: Row, metric: str, result: Estimate) -> Row:
    """A row with a measurement filled in."""
    return replace(row, metric=metric, value=result.value, stderr=result.stderr, n=result.n)
