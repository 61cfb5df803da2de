"""A task: bits whose sum is even. All but the last are fair coins, so a token has (N - 1) / N log 2 nats of entropy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ladd.config import DataConfig, EvaluationConfig
from ladd.config.blocks import Count
from ladd.data.shards import write_shards
from ladd.diffusion.noise import derive
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Samples, Values
from ladd.tasks.base import Bounds, Plain, Shown, Task


class ParityConfig(DataConfig):
    """A block of `data`; N is `tokens`."""

    kind: Literal["parity"]
    train: Count  # sequences
    validation: Count

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return 2


class ParityEvaluationConfig(EvaluationConfig):
    """The block `evaluation`, with nothing of its own."""

    kind: Literal["parity"]


class Parity(Task[ParityConfig, ParityEvaluationConfig]):
    """How the data are built and read, and what is measured of every model and of the data themselves."""

    name = "parity"
    Settings = ParityConfig
    Evaluation = ParityEvaluationConfig

    def build(self, folder: Path) -> None:
        for split in ("train", "validation"):
            generator = np.random.default_rng(derive(self.suite.seed, "parity", split))
            bits = generator.integers(2, size=(getattr(self.settings, split), self.settings.tokens))
            bits[:, -1] = bits[:, :-1].sum(axis=1) % 2
            write_shards(folder / split, [bits], tokens=self.settings.tokens, vocabulary=2, shard=65536)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(str, ids))

    def encode(self, text: str) -> list[int]:
        return [int(bit) for bit in text]

    def metric_settings(self) -> Mapping[str, Plain]:
        return {"entropy_positional": {}}

    def likelihood_rows(self, row: Row, bounds: Bounds) -> list[Row]:
        found = bounds(self.held_out("validation", self.evaluation.sequences).tokens)
        return [measured(row, metric, estimate(values)) for metric, values in found.items()]

    def reference_rows(self, row: Row, values: Values) -> tuple[list[Row], Shown]:
        exact, tokens = replace(row, model=f"exact-{self.key}", family="exact"), self.settings.tokens
        rows = [measured(exact, "entropy_rate", Estimate((tokens - 1) / tokens * math.log(2), 0.0, 0))]
        for index, seed in enumerate(self.evaluation.reference.seeds):
            real = self.real("floor", index, self.evaluation.reference.samples)
            of_real = replace(row, model=f"real-{self.key}", family="real", seed=seed)
            rows += values.rows(self.metrics(), Samples(self, real, index), of_real)
        return rows, []
