"""Bits whose sum is even: a task of one file, for the folder of a suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ladd.config import DataConfig, EvaluationConfig
from ladd.config.blocks import Count
from ladd.data.shards import write_shards
from ladd.diffusion.noise import derive
from ladd.evaluation.estimate import estimate
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Samples, Values
from ladd.tasks.base import Bounds, Plain, Shown, Task


class ParityConfig(DataConfig):
    """How many sequences."""

    kind: Literal["parity"]
    train: Count
    validation: Count

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return 2


class ParityEvaluationConfig(EvaluationConfig):
    """Nothing of its own."""

    kind: Literal["parity"]


class Parity(Task[ParityConfig, ParityEvaluationConfig]):
    """All bits but the last are fair coins; the last makes their sum even."""

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
        rows, count = [], self.evaluation.reference.samples
        for index, seed in enumerate(self.evaluation.reference.seeds):
            real = replace(row, model=f"real-{self.key}", family="real", seed=seed)
            rows += values.rows(self.metrics(), Samples(self, self.real("floor", index, count), index), real)
        return rows, []
