"""Which sequences a training step sees, as a function of (seed, step)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ladd.diffusion.noise import derive


class Batch(NamedTuple):
    """Rows of a step as they are stored: tokens (B, N), and latents (B, L) or (B, L, w) where there are some."""

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
    """

    def __init__(self, read: Callable[[int], Batch], steps: int, *, ahead: bool):
        self.read, self.steps = read, steps
        self.thread = ThreadPoolExecutor(1, "batches") if ahead else None
        self.pending: dict[int, Future[Batch]] = {}

    def __getitem__(self, step: int) -> Batch:
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
        seed: of the orders.
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
