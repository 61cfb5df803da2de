"""Settings that all measurements of a suite share, so that models are compared on equal terms."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from ladd.config import EvaluationConfig, SawtoothEvaluationConfig, Suite
from ladd.diffusion.noise import derive
from ladd.evaluation.bounds import BoundSettings
from ladd.evaluation.rows import Row, SampleMetricSettings, sample_rows
from ladd.stages.real import real_chunk


class SampleMeasures(Protocol):
    """What is measured of a set of samples."""

    def rows(self, row: Row, x: Tensor, index: int) -> list[Row]:
        """Metrics of samples x int64 (n, N), drawn with the index-th seed; ``row`` says how they were made."""
        ...

    def texts(self, x: Tensor) -> list[str]:
        """Samples as people read them."""
        ...


class SawtoothMeasures:
    """Distance to real sequences, and entropies.

    Args:
        suite: settings.
        data: key of the data set.
        device: where the metrics are computed.
    """

    def __init__(self, suite: Suite, data: str, device: torch.device):
        self.suite, self.data, self.device = suite, data, device
        assert isinstance(suite.evaluation, SawtoothEvaluationConfig)
        self.settings = SampleMetricSettings(suite.evaluation.directions, derive(suite.seed, "directions"))

    def rows(self, row: Row, x: Tensor, index: int) -> list[Row]:
        real = real_chunk(self.suite, self.data, "compared", index, len(x), self.device)
        return sample_rows(row, x, real, self.settings)

    def texts(self, x: Tensor) -> list[str]:
        return ["".join(map(str, row)) for row in x.tolist()]


def base_row(suite: Suite, **columns: str | int | None) -> Row:
    """A row of a suite; ``columns`` as in `Row`. The commit and the libraries are with the tracked run."""
    return Row(suite=suite.suite, **columns)  # type: ignore[arg-type]


def bound_settings(config: EvaluationConfig, seed: int) -> BoundSettings:
    """Settings of the bounds; all models see the same times and masks."""
    return BoundSettings(config.time_draws, config.batch, derive(seed, "evaluate"))
