"""References of text: real text, the same with its words shuffled, unigram and bigram models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ladd.config import Suite, TextEvaluationConfig
from ladd.data.shards import Rows
from ladd.diffusion.noise import derive
from ladd.evaluation.generation import perplexity
from ladd.evaluation.ngram import Bigram, Unigram, count_ngrams, fit_bigram
from ladd.evaluation.rows import Row, measured
from ladd.progress import counted
from ladd.stages.artifacts import load_tokens
from ladd.stages.held_out import held_out
from ladd.stages.likelihood import zero_shot
from ladd.stages.measure_text import TextMeasures
from ladd.stages.real import real_chunk
from ladd.stages.samples import SHOWN

BATCH = 4096  # blocks counted at a time
HELD_OUT = 0.05  # share of the training blocks, the last ones, that the bigram's weight is chosen on


def text_rows(suite: Suite, key: str, row: Row, device: torch.device) -> tuple[list[Row], list[dict[str, Any]]]:
    """All rows of a data set, and the first real texts."""
    measures = TextMeasures(suite, key, device)
    rows = ngram_rows(suite, key, replace(row, tokenizer=measures.tokenizer.name), device)
    config, shown = suite.evaluation.reference, []
    for index, seed in enumerate(counted(config.seeds, "real text", "seed")):
        x = real_chunk(suite, key, "floor", index, config.samples, device)
        real = replace(row, model=f"real-{key}", family="real", seed=seed)
        rows += measures.rows(real, x, index)
        texts = measures.texts(x)
        shuffled = replace(row, model=f"shuffled-{key}", family="shuffled", seed=seed)
        rows += measures.teacher_rows(shuffled, shuffle_words(texts, derive(suite.seed, "shuffle", seed)))
        if index == 0:
            shown = [{"token_steps": None, "temperature": None, "items": [[[text, False]] for text in texts[:SHOWN]]}]
    return rows, shown


def shuffle_words(texts: list[str], seed: int) -> list[str]:
    """Every text with its words in random order: the same words, no language."""
    generator = np.random.default_rng(seed)
    return [" ".join(generator.permutation(text.split())) for text in texts]


def ngram_rows(suite: Suite, key: str, row: Row, device: torch.device) -> list[Row]:
    """Perplexities of unigram and bigram models on the sequences that models are measured on."""
    assert isinstance(suite.evaluation, TextEvaluationConfig)
    vocabulary, train = suite.data[key].vocabulary, load_tokens(key, "train", torch.device("cpu"))
    counted = len(train) - max(1, int(HELD_OUT * len(train)))
    counts = count_ngrams(_batches(train, counted), vocabulary)
    models: dict[str, Unigram | Bigram] = {
        "unigram": Unigram(counts),
        "bigram": fit_bigram(counts, train[counted:].long()),
    }
    texts = {"val_ppl": held_out(suite, key, "validation", suite.evaluation.sequences, device)}
    texts |= {f"zero_shot_ppl/{name}": found for name, found in zero_shot(suite, key, device).items()}
    return [
        measured(
            replace(row, model=f"{name}-{key}", family=name, documents=found.document_count),
            metric,
            perplexity(model.nll(found.tokens.cpu()), found.documents),
        )
        for name, model in models.items()
        for metric, found in texts.items()
    ]


def _batches(rows: Rows, count: int) -> Iterator[Tensor]:
    for start in counted(range(0, count, BATCH), "n-grams", "batch"):
        yield rows[start : min(start + BATCH, count)]
