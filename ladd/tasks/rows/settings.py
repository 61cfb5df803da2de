"""Settings of short strings of one's own: corpus, tokenizer, padding, and how samples are measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ladd.config import DataConfig, EvaluationConfig
from ladd.tasks.text.own import OwnTokenizerConfig, Validation
from ladd.tasks.text.settings import CorpusConfig


class RowsConfig(DataConfig):
    """Short strings, one per row, padded to N tokens with the tokenizer's EOS (docs/your-data.md)."""

    kind: Literal["rows"]
    tokens: Annotated[int, Field(ge=2, le=4096)]  # N
    longer: Literal["error", "drop"] = "error"  # strings of more than N tokens
    tokenizer: OwnTokenizerConfig
    train: CorpusConfig
    validation: Validation

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return self.tokenizer.vocabulary


class RowsEvaluationConfig(EvaluationConfig):
    """How samples and models of short strings are measured."""

    kind: Literal["rows"]
