"""Share of the samples with an even number of ones: a metric of one file, for the folder of a suite."""

from __future__ import annotations

from typing import ClassVar

from ladd.config.blocks import Block, Count
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Metric, Samples


class Settings(Block):
    """Of the metric."""

    first: Count  # bits of a sequence that are summed


class Even(Metric):
    """1 where the task is learned, 0.5 for random bits."""

    name = "even"
    version = "1"
    title = "Share of sequences with an even sum"
    better = "higher"
    digits, essential = 3, True
    Settings: ClassVar[type[Block]] = Settings

    def measure(self, samples: Samples) -> Estimate:
        return estimate((samples.tokens[:, : self.settings.first].sum(dim=1) % 2 == 0).double())
