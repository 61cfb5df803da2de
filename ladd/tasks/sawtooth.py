"""The randomly shifted binary sawtooth (paper, Section 5.1 and Eqs. 78-79), and its exact references.

Given the shift u the tokens are independent, so every exact quantity is an integral over u in [0, 1). The midpoint
rule with G points is used, in float64; the integrand is periodic in u, so the error falls fast with G.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from ladd.config import DataConfig, EvaluationConfig, ReferenceConfig
from ladd.config.blocks import Batch, Count
from ladd.config.evaluation import Budgets
from ladd.data.shards import write_shards
from ladd.diffusion.masked import MaskedProcess
from ladd.diffusion.noise import derive
from ladd.diffusion.process import Prediction
from ladd.diffusion.schedules import DISCRETE_SCHEDULES
from ladd.errors import ConfigError
from ladd.evaluation.bounds import token_bound
from ladd.evaluation.estimate import Estimate, estimate
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Samples, Values
from ladd.progress import counted
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample_in_batches
from ladd.samplers.sources import Stream, TokenSource, share_equal_rows
from ladd.tasks.base import Bounds, Plain, Reference, Shown, Task

MIN_FLOOR = 1e-6
SHARD = 65536  # sequences per file
Drawn = Annotated[int, Field(ge=2, le=2**24)]  # sequences that are in memory when they are drawn


class SawtoothConfig(DataConfig):
    """The binary sawtooth (paper, Section E.1)."""

    kind: Literal["sawtooth"]
    periods: Count  # P
    floor: Annotated[float, Field(lt=0.5)]  # e, the smallest probability of a 1
    train: Drawn  # sequences
    validation: Drawn
    reference: Drawn  # real sequences that samples are compared with

    @field_validator("floor")
    @classmethod
    def _check_floor(cls, floor: float) -> float:
        if floor < MIN_FLOOR:
            raise ValueError(
                f"{floor}: write at least {MIN_FLOOR:g}; at 0 some sequences cannot occur, and for those the exact "
                "denoiser has no answer and the likelihood no logarithm"
            )
        return floor

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return 2


class SawtoothReferenceConfig(ReferenceConfig):
    """Samples of the exact posterior denoiser and of the data itself, measured like those of a model."""

    token_steps: Budgets
    batch: Batch


class SawtoothEvaluationConfig(EvaluationConfig):
    """How samples and models of the sawtooth are measured."""

    kind: Literal["sawtooth"]
    directions: Annotated[int, Field(ge=2, le=100_000)]  # of the sliced Wasserstein distance
    grid: Annotated[int, Field(ge=1, le=100_000)]  # quadrature points of the exact references
    reference: SawtoothReferenceConfig


class Sawtooth(Task[SawtoothConfig, SawtoothEvaluationConfig]):
    """Sequences are independent, so every split is used in its order; a split of its own is for comparison."""

    name = "sawtooth"
    Settings = SawtoothConfig
    Evaluation = SawtoothEvaluationConfig
    real_split = "reference"
    given = False
    references: ClassVar[Mapping[str, Reference]] = {
        "oracle": Reference(
            "Oracle", exact=True, meaning="is told the shift of each sequence, as a perfect latent would tell it"
        ),
        "exact": Reference(
            "Exact denoiser", exact=True, meaning="the best denoiser without a latent, computed and not trained"
        ),
        **Task.references,
    }

    def build(self, folder: Path) -> None:
        """Training, validation and reference sequences."""
        config = self.settings
        draw = partial(draw_sequences, tokens=config.tokens, periods=config.periods, floor=config.floor)
        for split in ("train", "validation", "reference"):
            sequences = draw(getattr(config, split), self.suite.seed, split)
            write_shards(folder / split, [sequences], tokens=config.tokens, vocabulary=2, shard=SHARD)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(map(str, ids))

    def encode(self, text: str) -> list[int]:
        if wrong := sorted(set(text) - set("01")):
            raise ConfigError(f"prompt or template: {wrong} are no tokens of this data; write it with ['0', '1']")
        return [int(digit) for digit in text]

    def metric_settings(self) -> Mapping[str, Plain]:
        return {"swd": {"directions": self.evaluation.directions}, "entropy_sequence": {}, "entropy_positional": {}}

    def likelihood_rows(self, row: Row, bounds: Bounds) -> list[Row]:
        found = bounds(self.held_out("validation", self.evaluation.sequences).tokens)
        return [measured(row, metric, estimate(values)) for metric, values in found.items()]

    def reference_rows(self, row: Row, values: Values) -> tuple[list[Row], Shown]:
        """Oracle, exact sampler, real against real; sequences are not worth showing."""
        config = self.settings
        exact = SawtoothReference(config.tokens, config.periods, config.floor, self.evaluation.grid).to(self.device)
        oracle = Estimate(exact.oracle_loss(), 0.0, 0)  # a quadrature, no sample
        of_oracle = replace(row, model=f"oracle-{self.key}", family="oracle")
        row = replace(row, model=f"exact-{self.key}", family="exact")
        rows = [measured(of_oracle, "token_loss_clean_latent", oracle), *self._exact_likelihood(row, exact)]
        return rows + self._exact_samples(row, exact, values), []

    def _exact_likelihood(self, row: Row, exact: SawtoothReference) -> list[Row]:
        """Entropy rate by exact likelihoods, and the bound of the exact denoiser, which must agree with it."""
        x, settings = self.held_out("validation", self.evaluation.sequences).tokens, self.bound_settings
        parts = counted(x.split(settings.batch), "exact likelihood", "batch")
        nll = torch.cat([-exact.log_likelihood(part) / x.shape[1] for part in parts])
        bound = token_bound(exact.process, exact, x, settings)
        return [measured(row, "entropy_rate", estimate(nll)), measured(row, "token_elbo", estimate(bound))]

    def _exact_samples(self, row: Row, exact: SawtoothReference, values: Values) -> list[Row]:
        """The exact denoiser in the token sampler at every budget, and real sequences against other real ones."""
        config, metrics = self.evaluation.reference, self.metrics()
        start = torch.full((config.samples, self.settings.tokens), exact.mask_id, device=self.device)
        network, stream = share_equal_rows(exact), Stream(exact.process, "token", (self.settings.tokens,))
        source = TokenSource(stream, lambda x, t: Prediction(network(x, t), exact.token_head))
        rows = []
        for index, seed in enumerate(config.seeds):
            other = Samples(self, self.real("floor", index, config.samples), index)
            rows += values.rows(metrics, other, replace(row, model=f"real-{self.key}", family="real", seed=seed))
            for steps in counted(config.token_steps, f"exact sampler, seed {seed}", "budget"):
                sampler = Ancestral(source=source, token_steps=steps)
                drawn = sample_in_batches(sampler, start, derive(self.suite.seed, "sample", seed), config.batch)
                nfe = float(drawn.token_passes.double().mean())
                budget = replace(row, token_steps=steps, latent_steps=0, temperature=1.0, nfe=round(nfe, 4), seed=seed)
                rows += values.rows(metrics, Samples(self, drawn.tokens, index), budget)
        return rows

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
        if max(reference.token_steps) > config.tokens:
            most = max(reference.token_steps)
            raise ValueError(f"evaluation.reference.token_steps: {most} must be at most N = {config.tokens}")

    @classmethod
    def with_room(cls, data: Plain, sequences: int) -> Plain:
        return data | {"reference": max(data["reference"], sequences)}

    @classmethod
    def small(cls, data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
        data |= {
            "train": 256,
            "validation": sizes["sequences"],
            "reference": 2 * sizes["samples"] * sizes["seeds"],
        }
        evaluation |= {"directions": 10, "grid": 64}
        evaluation["reference"] |= {"token_steps": [1, 2], "batch": sizes["samples"]}


def one_probability(shift: np.ndarray, tokens: int, periods: int, floor: float) -> np.ndarray:
    """P(x_j = 1 | u), independent over positions given the shift.

    Args:
        shift: u in [0, 1), shape (M,).
        tokens: N.
        periods: P.
        floor: e, the smallest probability.
    Returns:
        float64 (M, N) in [e, 1 - e].
    """
    positions = (np.arange(tokens) / tokens + shift[:, None]) % 1.0
    phase = (periods * positions) % 1.0
    triangle = 1.0 - np.abs(2.0 * phase - 1.0)
    return floor + (1.0 - 2.0 * floor) * triangle


def draw_sequences(count: int, seed: int, name: str, *, tokens: int, periods: int, floor: float) -> np.ndarray:
    """Real sequences, uint8 (count, N), for a named split; other names are independent."""
    generator = np.random.default_rng(derive(seed, "sawtooth", name))
    shift = generator.random(count)
    return (generator.random((count, tokens)) < one_probability(shift, tokens, periods, floor)).astype(np.uint8)


class SawtoothReference(nn.Module):
    """Exact likelihood, oracle loss and posterior denoiser.

    As a denoiser it has the interface of a network: its hidden states are log-probabilities (B, N, 2) and its token
    head is the identity, so every token sampler and bound accepts it.

    Args:
        tokens: N.
        periods: P.
        floor: e.
        grid: G, quadrature points.
    """

    mask_id = 2
    process = MaskedProcess(DISCRETE_SCHEDULES["linear"], mask_id)  # whose denoiser it is
    log_table: Tensor

    def __init__(self, tokens: int, periods: int, floor: float, grid: int):
        super().__init__()
        # Shifts that differ by a whole period give the same law, so one period is enough.
        shift = (np.arange(grid) + 0.5) / grid / periods
        ones = torch.from_numpy(one_probability(shift, tokens, periods, floor))
        self.register_buffer("log_table", torch.stack([torch.log1p(-ones), ones.log()], dim=-1))  # (G, N, 2)
        self.token_head = nn.Identity()

    def log_likelihood_given_grid(self, x: Tensor) -> Tensor:
        """log p(revealed tokens | u) at every grid point: x int64 (B, N), 2 where masked -> float64 (B, G)."""
        revealed = nn.functional.one_hot(x, 3)[..., :2].double()
        return torch.einsum("bnv,gnv->bg", revealed, self.log_table)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x), float64 (B,), of complete sequences x int64 (B, N)."""
        return torch.logsumexp(self.log_likelihood_given_grid(x), dim=1) - math.log(len(self.log_table))

    def oracle_loss(self) -> float:
        """Entropy of a token given the shift, nats per token: no predictor that sees only u can do better."""
        probabilities = self.log_table.exp()
        return float(-(probabilities * self.log_table).sum(dim=-1).mean())

    def forward(self, x: Tensor, t: Tensor | None = None) -> Tensor:
        """log p(x_i = v | revealed tokens), float64 (B, N, 2); t is not needed."""
        posterior = torch.softmax(self.log_likelihood_given_grid(x), dim=1)
        return torch.einsum("bg,gnv->bnv", posterior, self.log_table.exp()).log()
