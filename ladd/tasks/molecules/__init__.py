"""Molecules as SMILES strings, one per row: data and metrics of MOSES (Polykovskiy et al., 2020; docs/MOLECULES.md)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ladd.config.blocks import MOST
from ladd.data import chemistry
from ladd.evaluation.estimate import estimate
from ladd.evaluation.rows import Row, measured
from ladd.metrics.base import Values
from ladd.metrics.molecules import Against, MoleculeSource, Statistics
from ladd.tasks.base import Bounds, Plain, Reference, Shown, Task
from ladd.tasks.molecules.build import REFERENCE, TOKENIZER, build_splits, hashes, load_statistics
from ladd.tasks.molecules.references import PUBLISHED, drawn_rows, published_rows, real_rows
from ladd.tasks.molecules.settings import MoleculesConfig, MoleculesEvaluationConfig
from ladd.tasks.molecules.tokenizer import PAD, MoleculeTokenizer
from ladd.tasks.pictures import Picture, Pictured

CODES = 2**63  # contexts and next tokens of an n-gram model are numbered below


class Molecules(Task[MoleculesConfig, MoleculesEvaluationConfig], MoleculeSource, Pictured):
    """Strings are independent, and their order in the files is random after `build`, so splits are used in order.

    Samples are held against the test set, so real sets are of the training set: molecules of the test set would be
    compared with themselves.
    """

    name = "molecules"
    Settings = MoleculesConfig
    Evaluation = MoleculesEvaluationConfig
    real_split = "train"
    given = False
    references: ClassVar[Mapping[str, Reference]] = {
        "real": Reference("Train set", meaning="molecules of the training set, measured like samples"),
        "factorised": Reference(
            "Perfect factorised draw",
            meaning="a length of the data, then each token by itself, as often as it stands there",
        ),
        "ngram": Reference("n-gram", meaning="each token by those before it, counted in the training data"),
        **{
            name: Reference(
                published.label,
                meaning="real molecules, the values as published"
                if name == "published-train"
                else "a trained model, the values as published: of all training strings and 30,000 samples",
            )
            for name, published in PUBLISHED.items()
        },
    }

    @cached_property
    def tokenizer(self) -> MoleculeTokenizer:
        """That the data were made with."""
        return MoleculeTokenizer.load(self.folder / TOKENIZER)

    def build(self, folder: Path) -> None:
        build_splits(self.suite, self.key, self.settings, folder)

    def decode(self, ids: Sequence[int]) -> str:
        return self.tokenizer.decode(ids)

    def encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text)

    @property
    def readers(self) -> list[Path]:
        return [self.folder / TOKENIZER]

    def picture(self, text: str) -> Picture:
        from ladd.tasks.molecules.drawing import drawn

        return drawn(text)

    # Measurements.

    @property
    def pad(self) -> int:
        return PAD

    @property
    def reference_name(self) -> str:
        asset = self.settings.asset
        return f"{asset.name} {asset.revision or asset.sha256 or ''}".strip()

    @cached_property
    def _statistics(self) -> dict[Against, Statistics]:
        return {}

    def statistics(self, against: Against) -> Statistics:
        if against not in self._statistics:
            self._statistics[against] = load_statistics(self.folder / REFERENCE / against)
        return self._statistics[against]

    @cached_property
    def _known(self) -> np.ndarray:
        return np.load(self.folder / REFERENCE / "known.npy")

    def is_known(self, texts: list[str]) -> list[bool]:
        return np.isin(hashes(texts), self._known).tolist()

    @cached_property
    def patterns(self) -> list[Any]:
        return [chemistry.pattern(each) for each in json.loads((self.folder / REFERENCE / "filters.json").read_text())]

    def metric_settings(self) -> Mapping[str, Plain]:
        compared = ["fcd", "snn", "frag", "scaf"]
        names = ["valid_molecules", "unique_molecules", "novel_molecules", *compared, "int_div", "filters_passed"]
        names += ["matched_brackets", "closed_rings", "length_distance", "pad_share", "misplaced_pad"]
        return {name: {} for name in names + [f"{each}_scaffolds" for each in compared] * self.evaluation.scaffolds}

    def likelihood_rows(self, row: Row, bounds: Bounds) -> list[Row]:
        """In nats per position, padding counted: times N they are nats per molecule, whatever the tokens are."""
        found = bounds(self.held_out("validation", self.evaluation.sequences).tokens)
        row = replace(row, tokenizer=self.settings.tokenizer.kind)
        return [measured(row, metric, estimate(values)) for metric, values in found.items()]

    def reference_rows(self, row: Row, values: Values) -> tuple[list[Row], Shown]:
        """The training set, a perfect factorised draw, an n-gram model, and rows of the MOSES paper."""
        rows, shown = real_rows(self, row, values)
        rows += drawn_rows(self, row, values)
        return rows + (published_rows(self, row) if self.evaluation.reference.published else []), shown

    # Checks and sizes of params.yaml.

    def check(self) -> None:
        reference, config = self.evaluation.reference, self.settings
        needed = 2 * reference.samples * len(reference.seeds)
        if needed > (config.train or MOST):
            raise ValueError(
                f"evaluation.reference.samples: {reference.samples} samples x {len(reference.seeds)} seeds need "
                f"{needed} real molecules, data.{self.key}.train is {config.train}"
            )
        if self.evaluation.sequences > (config.validation or MOST):
            raise ValueError(
                f"evaluation.sequences: {self.evaluation.sequences} must be at most data.{self.key}.validation, "
                f"{config.validation}"
            )
        if (config.vocabulary + 1) ** (reference.order + 1) >= CODES:
            raise ValueError(
                f"evaluation.reference.order: {reference.order} tokens of {config.vocabulary} are too many contexts; "
                "lower it"
            )

    @classmethod
    def with_room(cls, data: Plain, sequences: int) -> Plain:
        return data | {"train": None if data.get("train") is None else max(data["train"], sequences)}

    @classmethod
    def small(cls, data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
        data |= {"longer": "drop", "train": 4096, "validation": 256}
        evaluation["reference"] |= {"order": min(evaluation["reference"]["order"], 2)}
