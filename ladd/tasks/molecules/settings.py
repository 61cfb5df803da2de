"""Settings of molecules: files, tokenizer, sizes of the splits, and how samples are measured."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ladd.config import AssetConfig, Block, DataConfig, EvaluationConfig, ReferenceConfig
from ladd.config.blocks import Several, Text

COMPUTED = "computed"
FOLDER = "moses/dataset/data"  # within the wheel of MOSES


class FilesConfig(Block):
    """Paths within the asset; the defaults are those of MOSES. Strings are CSV files with a column."""

    column: Text = "SMILES"
    train: Text = f"{FOLDER}/train.csv.gz"
    test: Text = f"{FOLDER}/test.csv.gz"
    test_scaffolds: Text = f"{FOLDER}/test_scaffolds.csv.gz"
    # Statistics of both in MOSES's own format, or "computed", of the strings, which takes milliseconds for each.
    statistics: Text = f"{FOLDER}/test_stats.npz"
    statistics_scaffolds: Text = f"{FOLDER}/test_scaffolds_stats.npz"
    # Tables of unwanted substructures: a column "smarts", or none named so and the first one.
    filters: list[Text] = Field(default=["moses/metrics/mcf.csv", "moses/metrics/wehi_pains.csv"])
    canonical: bool = True  # whether all strings are as RDKit writes them


class MoleculeTokenizerConfig(Block):
    """From strings to ids 1 ... V - 1; 0 is the padding, and the mask, V, is not among them."""

    # A character; an atom, bond, bracket or ring bond; or pairs of characters that are merged, the most frequent first.
    kind: Literal["character", "regex", "bpe"]
    vocabulary: Annotated[int, Field(ge=3, le=65535)]  # V; checked against the strings


class MoleculesConfig(DataConfig):
    """Molecules as SMILES strings, one per row, padded to N tokens (docs/MOLECULES.md)."""

    packages: ClassVar[tuple[str, ...]] = ("rdkit", "fcd_torch")
    extra: ClassVar[str] = "molecules"

    kind: Literal["molecules"]
    tokens: Annotated[int, Field(ge=2, le=4096)]  # N, at least the tokens of the longest string
    longer: Literal["error", "drop"] = "error"  # strings of more tokens
    asset: AssetConfig
    files: FilesConfig = Field(default_factory=FilesConfig)
    tokenizer: MoleculeTokenizerConfig
    train: Several | None = None  # strings drawn from the file; null: all of them
    validation: Several | None = None  # strings of the test set that likelihoods are measured on

    @property
    def vocabulary(self) -> int:
        """V, the mask excluded."""
        return self.tokenizer.vocabulary


class MoleculesReferenceConfig(ReferenceConfig):
    """Sets of real molecules, and what simple models draw."""

    order: Annotated[int, Field(ge=1, le=16)] = 6  # tokens that an n-gram model sees
    published: bool = False  # rows of the MOSES paper, where its test set is the reference


class MoleculesEvaluationConfig(EvaluationConfig):
    """How samples and models of molecules are measured."""

    kind: Literal["molecules"]
    scaffolds: bool = False  # compare with the test set of held-out scaffolds too
    reference: MoleculesReferenceConfig
