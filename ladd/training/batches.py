"""A training task: a model, its loss, and which rows of data a step sees, as a function of (seed, step)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ladd.data.shards import Rows
from ladd.diffusion.noise import SampleNoise, derive
from ladd.distributed import rank, sum_over_workers, world_size
from ladd.latents.statistics import spread_rows


class Batch(NamedTuple):
    """Rows of a step: tokens int64 (B, N), and stored latents (B, L) or (B, L, w) where there are some.

    What models latents alone has them (B, L, w) in the place of tokens.
    """

    tokens: Tensor
    latents: Tensor | None

    def part(self, rows: slice) -> Batch:
        """Some rows."""
        return Batch(self.tokens[rows], None if self.latents is None else self.latents[rows])


class Batches:
    """Batches of a training run by step.

    Args:
        read: the batch of a step.
        steps: of the run.
        ahead: read the next batch in a thread while this one is computed: for a GPU. Beside a computation on a CPU a
            second thread takes time from it.
    Attributes:
        waited: seconds that all asking has taken so far.
    """

    def __init__(self, read: Callable[[int], Batch], steps: int, *, ahead: bool):
        self.read, self.steps = read, steps
        self.thread = ThreadPoolExecutor(1, "batches") if ahead else None
        self.pending: dict[int, Future[Batch]] = {}
        self.waited = 0.0

    def __getitem__(self, step: int) -> Batch:
        start = time.perf_counter()
        batch = self._get(step)
        self.waited += time.perf_counter() - start
        return batch

    def _get(self, step: int) -> Batch:
        if self.thread is None:
            return self.read(step)
        ready = self.pending.pop(step, None) or self.thread.submit(self.read, step)
        batch = ready.result()
        self.pending = {step + 1: self.thread.submit(self.read, step + 1)} if step + 1 < self.steps else {}
        return batch


class BatchOrder:
    """An endless stream of epochs, each in an order of its own.

    Args:
        size: sequences in the training set.
        batch: sequences per step.
    """

    def __init__(self, size: int, batch: int, seed: int):
        self.size, self.batch, self.seed = size, batch, seed
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def _shuffle(self, epoch: int) -> np.ndarray:
        return np.random.default_rng(derive(self.seed, "epoch", epoch)).permutation(self.size)

    def positions(self, step: int) -> np.ndarray:
        """Places in the endless stream, int64 (B,): the global sample indices of the step."""
        return np.arange(step * self.batch, (step + 1) * self.batch)

    def indices(self, step: int) -> np.ndarray:
        """Rows of the training set, int64 (B,)."""
        epochs, offsets = np.divmod(self.positions(step), self.size)
        return np.concatenate([self._order(int(e))[offsets[epochs == e]] for e in np.unique(epochs)])


# Validation losses use the same noise every time, so that their curves show the model and not the draw.
_VALIDATION_SEED = 0
_VALIDATION_SEQUENCES = 1024
_VALIDATION_LOGITS = 2**28  # at a time: all sequences of a small vocabulary, a few of a large one

# (model, x int64 (B, N), stored latents or None, noise, step) -> scalar losses; "loss" is the one that is minimised.
RowSource = Rows | Tensor
Losses = Callable[[Any, Tensor, Tensor | None, SampleNoise, int], dict[str, Tensor]]
# (model, x, stored latents or None, noise) -> a bound on -log p(x), nats per token, or None where there is none.
Bound = Callable[[Any, Tensor, Tensor | None, SampleNoise], Tensor | None]


class TokenTask:
    """A batch of rows to a loss, and validation by the mean over one fixed batch.

    Args:
        train, validation: tokens (M, N).
        vocabulary: V.
        latents, validation_latents: stored latents of both, one row per sequence, where the task has them.
        bound: that validations report beside the losses.
    """

    def __init__(
        self,
        model: nn.Module,
        compute: Losses,
        train: RowSource,
        validation: RowSource,
        vocabulary: int,
        latents: RowSource | None = None,
        validation_latents: RowSource | None = None,
        bound: Bound = lambda *_: None,
    ):
        self.model, self.compute, self.size, self.vocabulary = model, compute, len(train), vocabulary
        self.bound = bound
        self.tokens_per_sequence = train.shape[1]
        self.train, self.validation = (train, latents), (validation, validation_latents)

    def read(self, indices: np.ndarray) -> Batch:
        """Rows of the training set."""
        return _read(self.train, torch.from_numpy(indices))

    def losses(self, batch: Batch, noise: SampleNoise, step: int) -> dict[str, Tensor]:
        """Losses of a training batch."""
        return self.compute(self.model, batch.tokens, batch.latents, noise, step)

    @torch.no_grad()
    def validate(self, model: nn.Module) -> dict[str, float]:
        """Losses of the averaged weights on sequences from all over the validation split, shared out to workers."""
        device = next(self.model.parameters()).device
        chosen = torch.from_numpy(spread_rows(len(self.validation[0]), _VALIDATION_SEQUENCES)).to(device)
        rows = torch.arange(len(chosen), device=device)
        noise = SampleNoise(_VALIDATION_SEED, rows)
        most = max(1, _VALIDATION_LOGITS // (self.tokens_per_sequence * self.vocabulary))
        rounds = -(-len(rows) // (most * world_size()))  # as many for every worker: shards want all of them
        sums: dict[str, float] = {}
        for part in rows.tensor_split(rounds * world_size())[rank() :: world_size()]:
            computed = part if len(part) else rows[:1]  # a worker without rows keeps step with the others: weight 0
            batch = _read(self.validation, chosen[computed])
            drawn = noise.part(_slice(computed))
            losses = dict(self.compute(model, batch.tokens, batch.latents, drawn, 0))
            if (bound := self.bound(model, batch.tokens, batch.latents, drawn)) is not None:
                losses["bound"] = bound
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(part)
        total = sum_over_workers(torch.tensor(list(sums.values()), dtype=torch.float64, device=device))
        return dict(zip(sums, (total / len(rows)).tolist(), strict=True))


def _slice(rows: Tensor) -> slice:
    """Neighbouring rows as a slice."""
    return slice(int(rows[0]), int(rows[-1]) + 1)


def _read(data: tuple[RowSource, RowSource | None], rows: Tensor) -> Batch:
    tokens, latents = data
    found = tokens[rows]
    return Batch(found if found.is_floating_point() else found.long(), None if latents is None else latents[rows])
