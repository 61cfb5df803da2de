"""Shidoku, the 4 x 4 Sudoku: 288 equally likely grids of 16 tokens with 4 values, so that everything is exact.

Hard constraints tie the tokens together: tokens that are drawn independently of each other are a valid grid with
probability 288 / 4^16 = 6.7e-8, whatever the network. All grids are in the training split, equally often: the question
is whether a model has learned the law and can draw from it in few steps, not whether it generalises.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from ladd.config import DataConfig, EvaluationConfig, ReferenceConfig
from ladd.config.evaluation import Budgets
from ladd.data.shards import write_shards
from ladd.diffusion.noise import derive
from ladd.errors import ConfigError
from ladd.evaluation.bounds import token_bound
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Samples, Values
from ladd.metrics.grid_validity import GridSource
from ladd.tasks.base import SHOWN, Bounds, Plain, Reference, Shown, Task
from ladd.tasks.shidoku.grids import CELLS, SIDE, ShidokuReference, all_grids, symmetries
from ladd.tasks.shidoku.law import ExactLaw, ancestral_laws, uniform_law

SHARD = 65536  # sequences per file
Drawn = Annotated[int, Field(ge=2, le=2**24)]  # sequences that are in memory when they are drawn


class ShidokuConfig(DataConfig):
    """Grids of the 4 x 4 Sudoku, row by row."""

    kind: Literal["shidoku"]
    train: Drawn  # sequences; in multiples of 288 all grids are equally frequent
    validation: Drawn
    reference: Drawn  # real sequences that samples are compared with, each drawn at random

    @field_validator("tokens")
    @classmethod
    def _check_tokens(cls, tokens: int) -> int:
        if tokens != CELLS:
            raise ValueError(f"{tokens}: a grid has {CELLS} cells, write {CELLS}")
        return tokens

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return SIDE


class ShidokuReferenceConfig(ReferenceConfig):
    """Exact laws at these budgets, with what as many samples of them are expected to show."""

    token_steps: Budgets


class ShidokuEvaluationConfig(EvaluationConfig):
    """How samples and models of grids are measured."""

    kind: Literal["shidoku"]
    reference: ShidokuReferenceConfig


class Shidoku(Task[ShidokuConfig, ShidokuEvaluationConfig], GridSource):
    """Sequences are used in their order; a split of its own is for comparison."""

    name = "shidoku"
    Settings = ShidokuConfig
    Evaluation = ShidokuEvaluationConfig
    real_split = "reference"
    given = False
    references: ClassVar[Mapping[str, Reference]] = {
        "exact": Reference("Exact", exact=True, meaning="the best denoiser without a latent, computed and not trained"),
        "perfect": Reference(
            "Perfect", exact=True, meaning="every grid equally likely: what a set as large would show"
        ),
        **Task.references,
    }

    @cached_property
    def grids(self) -> Tensor:  # type: ignore[override]
        """All that can occur, int64 (288, 16)."""
        return torch.from_numpy(all_grids().astype(np.int64)).to(self.device)

    def build(self, folder: Path) -> None:
        """Training and validation sequences go through all grids in random order, again and again; the reference
        sequences are independent, as samples are."""
        seed, counts = self.suite.seed, self.settings
        splits = {
            "train": draw_rounds(counts.train, seed, "train"),
            "validation": draw_rounds(counts.validation, seed, "validation"),
            "reference": draw_grids(counts.reference, seed, "reference"),
        }
        for split, sequences in splits.items():
            write_shards(folder / split, [sequences], tokens=CELLS, vocabulary=SIDE, shard=SHARD)

    def decode(self, ids: Sequence[int]) -> str:
        """Digits 1 to 4, a row of the grid after the other."""
        digits = "".join(str(value + 1) if value < SIDE else "" for value in ids)
        return " ".join(digits[start : start + SIDE] for start in range(0, len(digits), SIDE))

    def encode(self, text: str) -> list[int]:
        allowed = [str(value + 1) for value in range(SIDE)]
        digits = "".join(text.split())
        if wrong := sorted(set(digits) - set(allowed)):
            raise ConfigError(f"prompt or template: {wrong} are no tokens of this data; write it with {allowed}")
        return [int(digit) - 1 for digit in digits]

    def metric_settings(self) -> Mapping[str, Plain]:
        return {"grid_validity": {}, "grid_coverage": {}, "grid_total_variation": {}}

    def likelihood_rows(self, row: Row, bounds: Bounds) -> list[Row]:
        found = bounds(self.held_out("validation", self.evaluation.sequences).tokens)
        return [measured(row, metric, estimate(values)) for metric, values in found.items()]

    def reference_rows(self, row: Row, values: Values) -> tuple[list[Row], Shown]:
        """Exact laws of ancestral sampling, perfect samples, and real data; some real grids to show."""
        config, metrics = self.evaluation.reference, self.metrics()
        of_exact = replace(row, model=f"exact-{self.key}", family="exact")
        rows = self._exact_likelihood(of_exact)
        for steps in sorted(config.token_steps):
            # A step makes a pass where it reveals something.
            passes = steps * (1 - (1 - 1 / steps) ** CELLS)
            budget = replace(of_exact, token_steps=steps, latent_steps=0, temperature=1.0, nfe=round(passes, 4))
            rows += self._expected(budget, self._laws[steps - 1]) + law_rows(budget, self._laws[steps - 1])
        perfect = replace(row, model=f"perfect-{self.key}", family="perfect")
        rows += self._expected(perfect, uniform_law(len(self.grids)))
        for index, seed in enumerate(config.seeds):
            real = Samples(self, self.real("floor", index, config.samples), index)
            rows += values.rows(metrics, real, replace(row, model=f"real-{self.key}", family="real", seed=seed))
        items = [[[self.decode(grid), False]] for grid in self.real("floor", 0, SHOWN).tolist()]
        return rows, [{"token_steps": None, "temperature": 1.0, "items": items}]

    @cached_property
    def _laws(self) -> list[ExactLaw]:
        return ancestral_laws(all_grids(), max(self.evaluation.reference.token_steps), symmetries())

    def _exact_likelihood(self, row: Row) -> list[Row]:
        """Entropy rate, and the bound of the exact denoiser, which must agree with it."""
        exact = ShidokuReference(all_grids()).to(self.device)
        x = self.held_out("validation", self.evaluation.sequences).tokens
        bound = token_bound(exact.process, exact, x, self.bound_settings)
        entropy = Estimate(math.log(len(self.grids)) / CELLS, 0.0, 0)
        return [measured(row, "entropy_rate", entropy), measured(row, "token_elbo", estimate(bound))]

    def _expected(self, row: Row, law: ExactLaw) -> list[Row]:
        """What as many samples of a law as a model has are expected to give, by metric; there is no error."""
        n = self.evaluation.reference.samples
        expected = {
            "grid_validity": law.valid,
            "grid_coverage": law.expected_coverage(n),
            "grid_total_variation": law.expected_total_variation(n),
        }
        versions = {metric.name: metric.version for metric in self.metrics()}
        return [
            measured(replace(row, evaluator_version=versions[name]), name, Estimate(value, 0.0, n))
            for name, value in expected.items()
        ]

    def check(self) -> None:
        reference, config = self.evaluation.reference, self.settings
        if 2 * reference.samples * len(reference.seeds) > config.reference:
            raise ValueError(
                f"evaluation.reference.samples: {reference.samples} samples x {len(reference.seeds)} seeds need "
                f"twice as many real sequences (model and floor), data.{self.key}.reference is {config.reference}"
            )
        if self.evaluation.sequences > config.validation:
            raise ValueError(
                f"evaluation.sequences: {self.evaluation.sequences} must be at most data.{self.key}.validation, "
                f"{config.validation}"
            )
        if max(reference.token_steps) > CELLS:
            most = max(reference.token_steps)
            raise ValueError(f"evaluation.reference.token_steps: {most} must be at most N = {CELLS}")

    @classmethod
    def with_room(cls, data: Plain, sequences: int) -> Plain:
        return data | {"reference": max(data["reference"], sequences)}

    @classmethod
    def small(cls, data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
        data |= {
            "train": 288,
            "validation": sizes["sequences"],
            "reference": 2 * sizes["samples"] * sizes["seeds"],
        }
        evaluation["reference"] |= {"token_steps": [1, 2]}


def draw_rounds(count: int, seed: int, name: str) -> np.ndarray:
    """Grids, uint8 (count, 16), in rounds: each holds every grid once, in an order of its own; the last may be cut."""
    generator, grids = np.random.default_rng(derive(seed, "shidoku", name)), all_grids()
    rounds = [generator.permutation(len(grids)) for _ in range(-(-count // len(grids)))]
    return grids[np.concatenate(rounds)[:count]]


def draw_grids(count: int, seed: int, name: str) -> np.ndarray:
    """Independent grids, uint8 (count, 16), for a named split; other names are independent."""
    generator, grids = np.random.default_rng(derive(seed, "shidoku", name)), all_grids()
    return grids[generator.integers(len(grids), size=count)]


def law_rows(row: Row, law: ExactLaw) -> list[Row]:
    """Distances of a law itself, not of samples of it, from the uniform law over grids."""
    exact = {"law_total_variation": law.total_variation, "law_divergence": law.divergence}
    return [measured(row, name, Estimate(value, 0.0, 0)) for name, value in exact.items()]
