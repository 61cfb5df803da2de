"""Short strings of one's own, such as names, dates or formulas: one per row, padded to N tokens (docs/your-data.md).

Padding is the EOS of the tokenizer, and an ordinary token: it is masked, predicted and counted in losses and bounds, so
the first of it ends the string, and the model of the length is that of where it begins (docs/MOLECULES.md, Padding).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ladd.errors import ConfigError
from ladd.evaluation.estimate import estimate
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Samples, Values
from ladd.metrics.strings import StringSource
from ladd.progress import counted
from ladd.tasks.base import SHOWN, Bounds, Plain, Reference, Shown, Task
from ladd.tasks.rows.build import build_rows, padded
from ladd.tasks.rows.settings import RowsConfig, RowsEvaluationConfig
from ladd.tasks.text.build import TOKENIZER
from ladd.tasks.text.references import Bigram, Unigram, count_ngrams, fit_bigram
from ladd.tasks.text.tokenizer import Tokenizer

GAP = "\u2400"  # stands for padding with a token behind it
BATCH = 4096  # rows that are counted at a time
HELD_OUT = 0.05  # share of the training rows, the last ones, that the bigram's weight is chosen on
SMALL = 320  # V of a BPE in a rehearsal, at most


class Rows(Task[RowsConfig, RowsEvaluationConfig], StringSource):
    """Strings are independent of each other; as files are often sorted, sets come from all over a split."""

    name = "rows"
    Settings = RowsConfig
    Evaluation = RowsEvaluationConfig
    shuffled = True
    given = False
    references: ClassVar[Mapping[str, Reference]] = {
        **Task.references,
        "unigram": Reference("Unigram", meaning="each token by how often it occurs, whatever stands before it"),
        "bigram": Reference("Bigram", meaning="each token by the one before it, counted in the training data"),
    }

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """That the rows were made with."""
        return Tokenizer.load(self.folder / TOKENIZER)

    def build(self, folder: Path) -> None:
        build_rows(self.suite, self.key, self.settings, folder)

    def decode(self, ids: Sequence[int]) -> str:
        """The string of a row; padding with a token behind it shows as `GAP`."""
        kept = [int(id_) for id_ in ids if int(id_) < self.settings.vocabulary]
        parts: list[list[int]] = [[]]
        for id_ in kept:
            if id_ == self.end:
                parts.append([])
            else:
                parts[-1].append(id_)
        while parts and not parts[-1]:
            parts.pop()
        return GAP.join(self.tokenizer.decode(part) for part in parts)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode([text])[0].tolist()

    def sequences(self, texts: Sequence[str]) -> Tensor:
        """Strings as padded rows, int64 (n, N).

        Raises:
            ConfigError: one has no token, or more than N.
        """
        ids, tokens = self.tokenizer.encode(texts), self.settings.tokens
        wrong = next((place for place, each in enumerate(ids) if not 0 < len(each) <= tokens), None)
        if wrong is not None:
            raise ConfigError(
                f"data: string {wrong}, {texts[wrong][:40]!r}, has {len(ids[wrong])} tokens; each must have 1 to "
                f"N = {tokens}"
            )
        return torch.from_numpy(padded(ids, tokens, self.end)).long()

    @property
    def readers(self) -> list[Path]:
        return [self.folder / TOKENIZER]

    # Measurements.

    @property
    def end(self) -> int:
        return self.tokenizer.eos

    @property
    def special(self) -> tuple[int, ...]:
        return (self.end,)

    @property
    def tokenizer_name(self) -> str:
        return self.tokenizer.name

    @cached_property
    def _known(self) -> set[bytes]:
        rows = self.rows("train")
        return {row.tobytes() for start in range(0, len(rows), BATCH) for row in _numbers(rows[start : start + BATCH])}

    def is_known(self, x: Tensor) -> list[bool]:
        return [row.tobytes() in self._known for row in _numbers(x)]

    def metric_settings(self) -> Mapping[str, Plain]:
        names = ("gram_distance", "different_rows", "new_rows", "row_length", "broken_rows")
        return {name: {} for name in (*names, "entropy_sequence", "entropy_positional")}

    def likelihood_rows(self, row: Row, bounds: Bounds) -> list[Row]:
        """In nats per position, padding counted: times N they are nats per string, whatever the tokens are."""
        found = bounds(self.held_out("validation", self.evaluation.sequences).tokens)
        row = replace(row, tokenizer=self.tokenizer_name)
        return [measured(row, metric, estimate(values)) for metric, values in found.items()]

    def reference_rows(self, row: Row, values: Values) -> tuple[list[Row], Shown]:
        """Bounds of unigram and bigram models, and held-out strings measured as samples are."""
        rows, shown = self._counted_rows(replace(row, tokenizer=self.tokenizer_name)), []
        config, metrics = self.evaluation.reference, self.metrics()
        for index, seed in enumerate(counted(config.seeds, "real strings", "seed")):
            real = Samples(self, self.real("floor", index, config.samples), index)
            rows += values.rows(metrics, real, replace(row, model=f"real-{self.key}", family="real", seed=seed))
            if index == 0:
                items = [[[text, False]] for text in real.texts[:SHOWN]]
                shown.append({"token_steps": None, "temperature": None, "items": items})
        return rows, shown

    def _counted_rows(self, row: Row) -> list[Row]:
        train = type(self)(self.suite, self.key).rows("train")  # on the CPU
        count = len(train) - max(1, int(HELD_OUT * len(train)))
        batches = (train[start : min(start + BATCH, count)] for start in range(0, count, BATCH))
        counts = count_ngrams(batches, self.settings.vocabulary)
        models: dict[str, Unigram | Bigram] = {
            "unigram": Unigram(counts),
            "bigram": fit_bigram(counts, train[count:].long()),
        }
        x = self.held_out("validation", self.evaluation.sequences).tokens.cpu()
        return [
            measured(replace(row, model=f"{name}-{self.key}", family=name), "token_elbo", estimate(model.nll(x)))
            for name, model in models.items()
        ]

    @classmethod
    def small(cls, data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
        data["longer"] = "drop"
        if data["tokenizer"]["kind"] == "bpe":
            data["tokenizer"]["vocabulary"] = min(data["tokenizer"]["vocabulary"], SMALL)


def _numbers(x: Tensor) -> np.ndarray:
    return x.cpu().long().numpy()
