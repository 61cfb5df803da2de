"""A metric: share of the samples with an even number of ones.

A metric is one number of a set of samples, with its standard error. Its values are kept by name, version, settings and
samples, so that a new metric computes itself and nothing else.
"""

from __future__ import annotations

from typing import ClassVar

from ladd.config.blocks import Block, Count
from ladd.evaluation.estimate import Estimate, estimate
from ladd.metrics.base import Metric, Samples


class EvenSettings(Block):
    """Its block under `evaluation.metrics`."""

    first: Count  # bits of a sequence that are summed


class Even(Metric):
    """1 where the task is learned, 0.5 for random bits."""

    name = "even"
    version = "1"  # raise it when values may change: rows of different versions are not compared
    title = "Sequences with an even sum, percent"
    factor, digits, essential = 100.0, 1, True
    short, axis = "even sums", "sequences with an even sum (percent)"
    better, against = "higher", ("token_steps",)
    Settings: ClassVar[type[Block]] = EvenSettings

    def measure(self, samples: Samples) -> Estimate:
        return estimate((samples.tokens[:, : self.settings.first].sum(dim=1) % 2 == 0).double())
