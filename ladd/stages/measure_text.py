"""What is measured of text: its perplexity under a teacher, its diversity, and its likeness to real text."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from ladd.config import Suite, TextEvaluationConfig, ViewConfig
from ladd.diffusion.noise import derive
from ladd.evaluation.diversity import content_tokens, distinct_n, positional_entropy, sequence_entropy
from ladd.evaluation.estimate import estimate
from ladd.evaluation.generation import gen_ppl
from ladd.evaluation.mauve import mauve
from ladd.evaluation.rows import Row, measured
from ladd.latents.reduction import truncate
from ladd.stages.encoders import load_encoder
from ladd.stages.real import real_chunk
from ladd.stages.teachers import load_teacher
from ladd.stages.text import load_tokenizer
from ladd.text.teacher import TEACHER_RULE, Teacher

logger = logging.getLogger(__name__)

DISTINCT = (1, 2, 3, 4)  # lengths of n-grams


class TextMeasures:
    """Metrics of text; teacher and encoder are loaded where they are first needed.

    Args:
        suite: settings.
        data: key of the data set whose tokenizer the samples are in.
        device: where teacher and encoder run.
    """

    def __init__(self, suite: Suite, data: str, device: torch.device):
        assert isinstance(suite.evaluation, TextEvaluationConfig)
        self.suite, self.data, self.device, self.config = suite, data, device, suite.evaluation
        self.tokenizer = load_tokenizer(data)
        self.real_features: dict[tuple[int, int], Tensor] = {}

    @cached_property
    def teacher(self) -> Teacher:
        """The autoregressive model that scores text."""
        return load_teacher(self.suite, self.config.teacher, self.device)

    @property
    def teacher_name(self) -> str:
        """Asset and scoring rule of the teacher: perplexities under another are not comparable."""
        asset = self.config.teacher.asset
        rule = TEACHER_RULE.partition(":")[0]
        return (
            f"{asset.name} {asset.revision} {self.config.teacher.file} window {self.config.teacher.window} rule {rule}"
        )

    def texts(self, x: Tensor) -> list[str]:
        """Text of token blocks (n, N), special tokens left out."""
        return [self.tokenizer.decode(row) for row in x.tolist()]

    def rows(self, row: Row, x: Tensor, index: int) -> list[Row]:
        """All metrics of samples x int64 (n, N), compared with the index-th set of real text."""
        return [
            *self.teacher_rows(row, self.texts(x)),
            *self.diversity_rows(row, x),
            self.mauve_row(row, x, index),
        ]

    def teacher_rows(self, row: Row, texts: list[str]) -> list[Row]:
        """Perplexity of texts under the teacher."""
        scores = self.teacher.score(texts)
        if count := int(scores.truncated.sum()):
            logger.warning(
                "%d of %d texts are longer than the teacher's window; their ends are not scored", count, len(texts)
            )
        return [replace(measured(row, "gen_ppl", gen_ppl(scores)), tokenizer=self.teacher_name)]

    def diversity_rows(self, row: Row, x: Tensor) -> list[Row]:
        """Entropies and distinct n-grams of the data's tokens, BOS and EOS left out."""
        row = replace(row, tokenizer=self.tokenizer.name)
        omit = (self.tokenizer.bos, self.tokenizer.eos)
        content = content_tokens(x, omit)
        return [
            measured(row, "entropy_sequence", estimate(sequence_entropy(x, omit))),
            replace(row, metric="entropy_positional", value=positional_entropy(x, omit), n=len(x)),
            *(measured(row, f"distinct_{n}", distinct_n(content, n)) for n in DISTINCT),
        ]

    def mauve_row(self, row: Row, x: Tensor, index: int) -> Row:
        """MAUVE between samples and as many real texts, none of which gave the samples tokens."""
        if (index, len(x)) not in self.real_features:
            real = real_chunk(self.suite, self.data, "compared", index, len(x), self.device)
            self.real_features[index, len(x)] = self.features(real)
        seed, clusters = derive(self.suite.seed, "mauve") % 2**31, self.config.mauve_clusters
        value = mauve(self.features(x), self.real_features[index, len(x)], seed=seed, clusters=clusters)
        features = self.config.features.asset
        name = f"{features.name} {features.revision} {clusters} clusters"
        return replace(row, metric="mauve", value=value, n=len(x), tokenizer=name)

    def features(self, x: Tensor) -> Tensor:
        """Mean token state of each text, (n, h)."""
        encoder, size = self.encoder, self.encoder.hidden
        view = ViewConfig(length=1, width=size, pooling="adaptive", reduction="truncate", unit_variance=False)
        return encoder.views(x, {"mean": view}, {"mean": truncate(size, size)})["mean"][:, 0]

    @cached_property
    def encoder(self):
        """The encoder whose mean states stand for texts."""
        return load_encoder(self.suite, self.data, self.config.features, self.device)
