"""Settings that all measurements of a suite share, so that models are compared on equal terms."""

from __future__ import annotations

import torch

from ladd.config import DataConfig, EvaluationConfig
from ladd.evaluation.bounds import BoundSettings
from ladd.evaluation.rows import SampleMetricSettings
from ladd.randomness import derive


def real_chunk(reference: torch.Tensor, index: int, count: int) -> torch.Tensor:
    """The index-th disjoint set of ``count`` real sequences, int64 (count, N)."""
    return reference[index * count : (index + 1) * count].long()


def bound_settings(config: EvaluationConfig, seed: int) -> BoundSettings:
    """Settings of the bounds; all models see the same times and masks."""
    return BoundSettings(config.time_draws, config.batch, derive(seed, "evaluate"))


def metric_settings(config: EvaluationConfig, data: DataConfig, seed: int) -> SampleMetricSettings:
    """Settings of the sample metrics; all models see the same directions."""
    return SampleMetricSettings(data.vocabulary, config.directions, derive(seed, "directions"))
