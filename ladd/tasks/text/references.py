"""References of text: unigram and bigram models, real text, the same with its words shuffled.

The two models score all N positions of a block, as the diffusion models do, its specials included. The bigram's context
of position 0 is the start of a block, a symbol of its own, so a BOS that is always there costs next to nothing; to the
unigram it is a token like any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ladd.data.shards import Rows
from ladd.diffusion.noise import derive
from ladd.evaluation.estimate import perplexity
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Samples, Values
from ladd.progress import counted
from ladd.tasks.base import SHOWN, Shown

if TYPE_CHECKING:
    from ladd.tasks.text import TextTask

BUFFER = 1 << 22  # pairs held before they are counted
WEIGHTS = tuple(percent / 100 for percent in range(5, 100, 5))


@dataclass(frozen=True)
class NgramCounts:
    """Counts over training blocks.

    Attributes:
        tokens: int64 (V,).
        pairs: int64 (D,), those that occur, context * V + token in rising order; the start's context is V.
        counts: int64 (D,), of the pairs.
    """

    tokens: Tensor
    pairs: Tensor
    counts: Tensor


def count_ngrams(blocks: Iterable[Tensor], vocabulary: int) -> NgramCounts:
    """Counts of blocks, each (B, N) of ids below V, in one pass; memory grows only with the pairs that occur."""
    tokens = torch.zeros(vocabulary, dtype=torch.long)
    pairs, counts = torch.zeros(0, dtype=torch.long), torch.zeros(0, dtype=torch.long)
    buffer: list[Tensor] = []
    for block in blocks:
        tokens += block.flatten().long().bincount(minlength=vocabulary)
        buffer.append(pair_ids(block, vocabulary).flatten())
        if sum(map(len, buffer)) >= BUFFER:
            pairs, counts = _merge(pairs, counts, buffer)
            buffer = []
    return NgramCounts(tokens, *_merge(pairs, counts, buffer))


def pair_ids(x: Tensor, vocabulary: int) -> Tensor:
    """Every token with the one before it, int64 (B, N): context * V + token."""
    x = x.long()
    contexts = torch.nn.functional.pad(x[:, :-1], (1, 0), value=vocabulary)
    return contexts * vocabulary + x


def _merge(pairs: Tensor, counts: Tensor, buffer: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Add the pairs in the buffer to the counts."""
    if not buffer:
        return pairs, counts
    new, new_counts = torch.cat(buffer).unique(return_counts=True)
    merged, place = torch.cat([pairs, new]).unique(return_inverse=True)
    return merged, torch.zeros_like(merged).index_add(0, place, torch.cat([counts, new_counts]))


class Unigram:
    """Add-one estimate: p(v) = (c(v) + 1) / (total + V)."""

    def __init__(self, counts: NgramCounts):
        raised = counts.tokens.double() + 1
        self.probability = raised / raised.sum()

    def nll(self, x: Tensor) -> Tensor:
        """Per sequence of x (n, N), nats per token, float64 (n,)."""
        return -self.probability[x.long()].log().mean(dim=1)


class Bigram:
    """Interpolated with the unigram: p(v | u) = weight c(u, v) / c(u) + (1 - weight) p(v) (Jelinek and Mercer).

    A context that was never seen leaves the unigram alone.

    Args:
        weight: of the bigram, in [0, 1); see `fit_bigram`.
    """

    def __init__(self, counts: NgramCounts, weight: float):
        self.counts, self.weight, self.unigram = counts, weight, Unigram(counts)
        self.vocabulary = len(counts.tokens)
        self.contexts = torch.zeros(self.vocabulary + 1, dtype=torch.long)
        self.contexts.index_add_(0, counts.pairs // self.vocabulary, counts.counts)

    def nll(self, x: Tensor) -> Tensor:
        """Per sequence of x (n, N), nats per token, float64 (n,)."""
        wanted = pair_ids(x, self.vocabulary)
        place = torch.searchsorted(self.counts.pairs, wanted).clamp_max(len(self.counts.pairs) - 1)
        seen = torch.where(self.counts.pairs[place] == wanted, self.counts.counts[place], 0)
        context = self.contexts[wanted // self.vocabulary]
        weight = torch.where(context > 0, self.weight, 0.0).double()
        frequency = seen.double() / context.clamp_min(1)
        return -(weight * frequency + (1 - weight) * self.unigram.probability[x.long()]).log().mean(dim=1)


def fit_bigram(counts: NgramCounts, held_out: Tensor) -> Bigram:
    """The bigram whose weight, a multiple of 0.05, is best on blocks (m, N) that are not in the counts.

    Hold out the end of the training blocks, never validation blocks.
    """
    models = [Bigram(counts, weight) for weight in WEIGHTS]
    losses = [float(model.nll(held_out).mean()) for model in counted(models, "bigram", "weight")]
    return models[losses.index(min(losses))]


BATCH = 4096  # blocks counted at a time
HELD_OUT = 0.05  # share of the training blocks, the last ones, that the bigram's weight is chosen on


def real_rows(task: TextTask, row: Row, values: Values) -> tuple[list[Row], Shown]:
    """Real text against other real text, the same with its words shuffled, and the first texts."""
    rows: list[Row] = []
    shown: Shown = []
    config, metrics = task.evaluation.reference, task.metrics()
    of_words = [metric for metric in metrics if "teacher" in metric.needs]  # the others see no order, or ids
    for index, seed in enumerate(counted(config.seeds, "real text", "seed")):
        real = Samples(task, task.real("floor", index, config.samples), index)
        rows += values.rows(metrics, real, replace(row, model=f"real-{task.key}", family="real", seed=seed))
        texts = shuffle_words(real.texts, derive(task.suite.seed, "shuffle", seed))
        shuffled = replace(row, model=f"shuffled-{task.key}", family="shuffled", seed=seed)
        rows += values.rows(of_words, Samples(task, real.tokens, index, texts), shuffled)
        if index == 0:
            items = [[[text, False]] for text in real.texts[:SHOWN]]
            shown.append({"token_steps": None, "temperature": None, "items": items})
    return rows, shown


def shuffle_words(texts: list[str], seed: int) -> list[str]:
    """Every text with its words in random order: the same words, no language."""
    generator = np.random.default_rng(seed)
    return [" ".join(generator.permutation(text.split())) for text in texts]


def ngram_rows(task: TextTask, row: Row) -> list[Row]:
    """Perplexities of unigram and bigram models on the sequences that models are measured on."""
    train = type(task)(task.suite, task.key).rows("train")  # on the CPU
    count = len(train) - max(1, int(HELD_OUT * len(train)))
    counts = count_ngrams(_batches(train, count), task.settings.vocabulary)
    models: dict[str, Unigram | Bigram] = {
        "unigram": Unigram(counts),
        "bigram": fit_bigram(counts, train[count:].long()),
    }
    texts = {"val_ppl": task.held_out("validation", task.evaluation.sequences)}
    texts |= {f"zero_shot_ppl/{name}": found for name, found in task.zero_shot().items()}
    return [
        measured(
            replace(row, model=f"{name}-{task.key}", family=name, documents=found.document_count),
            metric,
            perplexity(model.nll(found.tokens.cpu()), found.documents),
        )
        for name, model in models.items()
        for metric, found in texts.items()
    ]


def _batches(rows: Rows, count: int) -> Iterator[Tensor]:
    for start in counted(range(0, count, BATCH), "n-grams", "batch"):
        yield rows[start : min(start + BATCH, count)]
