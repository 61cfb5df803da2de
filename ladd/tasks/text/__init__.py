"""Text packed into blocks of token ids (paper, Sections 5.2 and E.2), and what is measured of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from ladd.assets import asset_folder
from ladd.config import EncoderConfig, Suite, ViewConfig
from ladd.data.shards import Rows
from ladd.evaluation.estimate import estimate, perplexity
from ladd.evaluation.rows import Row, measured
from ladd.evaluation.teacher import TEACHER_RULE, Teacher, TeacherScores, load_teacher
from ladd.latents.frozen import FrozenTextEncoder
from ladd.latents.reduction import truncate
from ladd.metrics.base import Values
from ladd.tasks.base import Bounds, HeldOut, Plain, Reference, Shown, Task
from ladd.tasks.text.build import TOKENIZER, build_corpora
from ladd.tasks.text.packing import block_documents
from ladd.tasks.text.references import ngram_rows, real_rows
from ladd.tasks.text.settings import FeaturesConfig, TextDataConfig, TextEvaluationConfig
from ladd.tasks.text.small import shrink, stand_ins
from ladd.tasks.text.tokenizer import Tokenizer


class TextTask(Task[TextDataConfig, TextEvaluationConfig]):
    """Neighbouring blocks are of one document, so sets of them come from all over a split."""

    name = "text"
    Settings = TextDataConfig
    Evaluation = TextEvaluationConfig
    shuffled = True
    reads_text = True
    references: ClassVar[Mapping[str, Reference]] = {
        **Task.references,
        "shuffled": Reference("Shuffled words", meaning="real text, the words of each sequence in random order"),
        "unigram": Reference("Unigram", meaning="each token by how often it occurs, whatever stands before it"),
        "bigram": Reference("Bigram", meaning="each token by the one before it, counted in the training data"),
    }

    def __init__(self, suite: Suite, key: str, device: str | torch.device = "cpu"):
        super().__init__(suite, key, device)
        self._compared_features: dict[tuple[int, int], Tensor] = {}

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """That the data were packed with."""
        return Tokenizer.load(self.folder / TOKENIZER)

    def build(self, folder: Path) -> None:
        build_corpora(self.suite, self.key, self.settings, folder)

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode([text])[0].tolist()

    @property
    def start(self) -> int | None:
        return self.tokenizer.bos if self.settings.packing == "framed" else None

    @property
    def readers(self) -> list[Path]:
        return [self.folder / TOKENIZER]

    def encoder(self, config: EncoderConfig | FeaturesConfig) -> FrozenTextEncoder:
        folder = asset_folder(config.asset, Path(self.suite.root)) / config.folder
        return FrozenTextEncoder.load(folder, self.tokenizer, device=self.device, batch=config.batch)

    def documents_of(self, rows: Rows, wanted: Tensor) -> Tensor:
        return block_documents(rows, wanted, packing=self.settings.packing, eos=self.tokenizer.eos)

    # Measurements.

    def metric_settings(self) -> Mapping[str, Plain]:
        names = ("gen_ppl", "entropy_sequence", "entropy_positional", *(f"distinct_{n}" for n in (1, 2, 3, 4)))
        return {name: {} for name in names} | {"mauve": {"clusters": self.evaluation.mauve_clusters}}

    def zero_shot(self) -> dict[str, HeldOut]:
        """Blocks of every corpus that no model was trained on."""
        count = self.evaluation.zero_shot_sequences
        return {name: self.held_out(f"zero_shot/{name}", count) for name in self.settings.zero_shot}

    def likelihood_rows(self, row: Row, bounds: Bounds) -> list[Row]:
        """Perplexities on the validation split and every other corpus, and the full bound in nats per token."""
        row = replace(row, tokenizer=self.tokenizer_name)
        validation = self.held_out("validation", self.evaluation.sequences)
        found, groups = bounds(validation.tokens), validation.documents
        if not found:
            return []
        of_validation = replace(row, documents=validation.document_count)
        rows = [measured(of_validation, "val_ppl", perplexity(found["token_elbo"], groups))]
        if "full_bound" in found:
            rows.append(measured(of_validation, "full_bound", estimate(found["full_bound"], groups)))
        for corpus, held_out in self.zero_shot().items():
            token_elbo = bounds(held_out.tokens, token_only=True)["token_elbo"]
            of_corpus = replace(row, documents=held_out.document_count)
            rows.append(measured(of_corpus, f"zero_shot_ppl/{corpus}", perplexity(token_elbo, held_out.documents)))
        return rows

    def reference_rows(self, row: Row, values: Values) -> tuple[list[Row], Shown]:
        """Unigram and bigram models, real text, and real text with its words shuffled."""
        rows = ngram_rows(self, replace(row, tokenizer=self.tokenizer_name))
        real, shown = real_rows(self, row, values)
        return rows + real, shown

    @property
    def special(self) -> tuple[int, ...]:
        return (self.tokenizer.bos, self.tokenizer.eos)

    @property
    def tokenizer_name(self) -> str:
        return self.tokenizer.name

    @cached_property
    def teacher(self) -> Teacher:
        """The autoregressive model that scores text."""
        config, root = self.evaluation.teacher, Path(self.suite.root)
        path = asset_folder(config.asset, root) / config.file
        return load_teacher(path, root, device=self.device, batch=config.batch, window=config.window)

    @property
    def teacher_name(self) -> str:
        config, rule = self.evaluation.teacher, TEACHER_RULE.partition(":")[0]
        return f"{config.asset.name} {config.asset.revision} {config.file} window {config.window} rule {rule}"

    def scores(self, texts: list[str]) -> TeacherScores:
        return self.teacher.score(texts)

    @property
    def features_name(self) -> str:
        asset = self.evaluation.features.asset
        return f"{asset.name} {asset.revision}"

    @cached_property
    def _reader(self) -> FrozenTextEncoder:
        return self.encoder(self.evaluation.features)

    def features(self, x: Tensor) -> Tensor:
        """Mean token state of each text, (n, h)."""
        size = self._reader.hidden
        view = ViewConfig(length=1, width=size, pooling="adaptive", reduction="truncate", unit_variance=False)
        return self._reader.views(x, {"mean": view}, {"mean": truncate(size, size)})["mean"][:, 0]

    def compared_features(self, index: int, count: int) -> Tensor:
        if (index, count) not in self._compared_features:
            self._compared_features[index, count] = super().compared_features(index, count)
        return self._compared_features[index, count]

    @classmethod
    def small(cls, data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
        shrink(data, evaluation, sizes)

    @classmethod
    def stand_ins(cls, data: Plain, evaluation: Plain, offline: Plain) -> Iterable[tuple[str, Plain, Plain]]:
        return stand_ins(data, evaluation, offline)
