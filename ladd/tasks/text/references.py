"""References of text: unigram and bigram models, real text, the same with its words shuffled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ladd.data.shards import Rows
from ladd.diffusion.noise import derive
from ladd.evaluation.estimate import perplexity
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Samples
from ladd.metrics.values import Values
from ladd.progress import counted
from ladd.tasks.base import SHOWN, Shown
from ladd.tasks.text.ngram import Bigram, Unigram, count_ngrams, fit_bigram

if TYPE_CHECKING:
    from ladd.tasks.text import TextTask

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
