"""What models of molecules are held against: real ones, what simple models draw, and published values.

The published ones are of Polykovskiy et al., "Molecular Sets (MOSES)", Tables 1 and 2: models that were trained on the
whole training set, 30,000 samples of each; mean and standard deviation over three trainings, so that the standard error
is the latter over the root of three.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from ladd.diffusion.noise import derive
from ladd.evaluation.rows import Row
from ladd.metrics.base import Samples, Values
from ladd.progress import counted
from ladd.tasks.base import SHOWN, Shown
from ladd.tasks.molecules.tokenizer import PAD

if TYPE_CHECKING:
    from ladd.tasks.molecules import Molecules

TRAININGS = 3  # of a published model
FITTED = 2**18  # training rows that simple models are fitted on, at most
Value = tuple[float, float | None]  # mean, standard deviation over trainings where it is known


class Published(NamedTuple):
    """A row of the MOSES paper."""

    label: str
    values: Mapping[str, Value]  # by metric


def _published(label: str, *values: Value) -> Published:
    names = ("valid_molecules", "novel_molecules", "fcd", "snn", "scaf")
    return Published(f"{label} (published)", dict(zip(names, values, strict=True)))


# Its unique@10k is left out: our share of different molecules is of all valid samples of a set.
PUBLISHED = {
    "published-train": _published("Train set", (1.0, None), (1.0, None), (0.008, None), (0.642, None), (0.991, None)),
    "published-hmm": _published("HMM", (0.076, None), (0.999, None), (24.47, None), (0.388, None), (0.207, None)),
    "published-ngram": _published("n-gram", (0.238, None), (0.969, None), (5.507, None), (0.521, None), (0.530, None)),
    "published-charrnn": _published(
        "CharRNN", (0.975, 0.026), (0.842, 0.051), (0.073, 0.025), (0.602, None), (0.924, None)
    ),
    "published-vae": _published("VAE", (0.977, 0.001), (0.695, 0.007), (0.099, 0.013), (0.626, None), (0.939, None)),
    "published-aae": _published("AAE", (0.937, 0.034), (0.793, 0.029), (0.556, 0.203), (0.608, None), (0.902, None)),
    "published-latentgan": _published(
        "LatentGAN", (0.897, 0.003), (0.950, 0.001), (0.297, 0.009), (0.537, None), (0.887, None)
    ),
    "published-jtnvae": _published(
        "JTN-VAE", (1.0, None), (0.914, 0.006), (0.395, 0.023), (0.548, None), (0.896, None)
    ),
}


def published_rows(task: Molecules, row: Row) -> list[Row]:
    """Rows of the paper; n is 0, as nothing was measured here."""
    versions = {metric.name: metric.version for metric in task.metrics()}
    rows = []
    for family, published in PUBLISHED.items():
        for metric, (value, deviation) in published.values.items():
            found = replace(row, model=f"{family}-{task.key}", family=family, metric=metric, value=value)
            error = None if deviation is None else deviation / TRAININGS**0.5
            rows.append(replace(found, stderr=error, evaluator_version=versions[metric], tokenizer=task.reference_name))
    return rows


def real_rows(task: Molecules, row: Row, values: Values) -> tuple[list[Row], Shown]:
    """Molecules of the training set, measured as samples are, and the first of them."""
    rows: list[Row] = []
    shown: Shown = []
    config, metrics = task.evaluation.reference, task.metrics()
    for index, seed in enumerate(counted(config.seeds, "train set", "seed")):
        real = Samples(task, task.real("floor", index, config.samples), index)
        rows += values.rows(metrics, real, replace(row, model=f"real-{task.key}", family="real", seed=seed))
        if index == 0:
            items = [[[text, False]] for text in real.texts[:SHOWN]]
            shown.append({"token_steps": None, "temperature": None, "items": items})
    return rows, shown


def drawn_rows(task: Molecules, row: Row, values: Values) -> list[Row]:
    """What the simple models draw."""
    config, metrics = task.evaluation.reference, task.metrics()
    rows = task.rows("train")
    x = rows[: min(len(rows), FITTED)].cpu().numpy()
    models: dict[str, Callable[[int, np.random.Generator], np.ndarray]] = {
        "factorised": Factorised(x).draw,
        "ngram": Ngram(x, config.order, task.settings.vocabulary).draw,
    }
    found: list[Row] = []
    for family, draw in models.items():
        for index, seed in enumerate(counted(config.seeds, family, "seed")):
            generator = np.random.default_rng(derive(task.suite.seed, family, seed))
            drawn = torch.from_numpy(draw(config.samples, generator).astype(np.int64)).to(task.device)
            of_seed = replace(row, model=f"{family}-{task.key}", family=family, seed=seed)
            found += values.rows(metrics, Samples(task, drawn, index), of_seed)
    return found


class Factorised:
    """Draws a length, and then every token by itself from those at its position in strings of this length.

    It is the best that one step of a model without latents can do, even where it is told the length: with x given the
    length independent over positions, each by its true law.

    Args:
        x: int (M, N), padded rows.
    """

    def __init__(self, x: np.ndarray):
        length = (x != PAD).sum(axis=1)
        self.x = x[np.argsort(length, kind="stable")]
        counts = np.bincount(length, minlength=x.shape[1] + 1)
        self.counts, self.starts = counts, np.cumsum(counts) - counts

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Rows (count, N)."""
        length = generator.choice(len(self.counts), size=count, p=self.counts / self.counts.sum())
        within = generator.integers(self.counts[length][:, None], size=(count, self.x.shape[1]))
        return self.x[self.starts[length][:, None] + within, np.arange(self.x.shape[1])]


class Ngram:
    """Draws each token from those that follow the k tokens before it in the training rows.

    Contexts are those that occur, so there is nothing to smooth. A start symbol stands before the row.

    Args:
        x: int (M, N), padded rows.
        order: k.
        vocabulary: V.
    """

    def __init__(self, x: np.ndarray, order: int, vocabulary: int):
        self.order, self.base, self.tokens = order, vocabulary + 1, x.shape[1]
        # Padding follows a row, until a context is nothing else: what ends a row of N tokens may be drawn earlier.
        framed = np.pad(x.astype(np.int64), ((0, 0), (0, order + 1)), constant_values=PAD)
        framed = np.pad(framed, ((0, 0), (order, 0)), constant_values=vocabulary)
        codes = np.zeros((len(x), places := framed.shape[1] - order), np.int64)
        for shift in range(order + 1):
            codes = codes * self.base + framed[:, shift : shift + places]
        self.codes, counts = np.unique(codes, return_counts=True)  # sorted: those of one context are neighbours
        self.below = np.concatenate([[0], np.cumsum(counts)])

    def draw(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """Rows (count, N)."""
        context = np.zeros(count, np.int64)
        for _ in range(self.order):
            context = context * self.base + self.base - 1
        rows = np.zeros((count, self.tokens), np.int64)
        for place in range(self.tokens):
            low = self.below[np.searchsorted(self.codes, context * self.base)]
            high = self.below[np.searchsorted(self.codes, (context + 1) * self.base)]
            found = np.searchsorted(self.below, generator.integers(low, high), side="right") - 1
            rows[:, place] = self.codes[found] % self.base
            context = self.codes[found] % self.base**self.order
        return rows
