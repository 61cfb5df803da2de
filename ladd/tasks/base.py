"""What a task is: the data, how they are built and read, and how samples and models of them are measured.

N tokens, V ids; M sequences of a split, n of them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import torch
from torch import Tensor

from ladd.config import DataConfig, EvaluationConfig, GivenConfig, Suite
from ladd.data.shards import Rows
from ladd.diffusion.noise import SampleNoise, derive
from ladd.errors import ConfigError
from ladd.evaluation.bounds import BoundSettings
from ladd.evaluation.rows import Row
from ladd.metrics.base import Metric, Source, Values, metric_of

if TYPE_CHECKING:
    from ladd.config import EncoderConfig
    from ladd.latents.frozen import FrozenTextEncoder

# What a set of real sequences is for: samples are compared with it; it is compared as samples are, which gives the
# floor; samplers are given tokens of it. A sequence that served two of these would be compared with itself.
Use = Literal["compared", "floor", "given"]
USES: tuple[Use, ...] = get_args(Use)
SHOWN = 4  # sequences of a set that are written out for the page of samples

Plain = dict[str, Any]  # of params.yaml
Shown = list[dict[str, Any]]  # real sequences for the page of samples
Bounds = Callable[..., dict[str, Tensor]]  # x int64 (n, N), token_only -> bounds, each (n,) in nats per token
SettingsT = TypeVar("SettingsT", bound=DataConfig)
EvaluationT = TypeVar("EvaluationT", bound=EvaluationConfig)


class HeldOut(NamedTuple):
    """Sequences that likelihoods are measured on, the same for all models.

    Attributes:
        tokens: int64 (n, N).
        documents: int64 (n,): sequences of one document depend on each other. None where all are independent.
    """

    tokens: Tensor
    documents: Tensor | None

    @property
    def document_count(self) -> int | None:
        """Different documents; None where every sequence is independent."""
        return None if self.documents is None else len(self.documents.unique())


class Reference(NamedTuple):
    """Rows that no trained model made."""

    label: str
    exact: bool = False  # by quadrature or enumeration, and no estimate from samples
    meaning: str = ""  # in one line, for readers who do not know it


class Task(Source, Generic[SettingsT, EvaluationT]):
    """One data set of a suite. A module of a task holds a class of it, with a name.

    Attributes:
        name: the `kind` of its blocks in params.yaml.
        Settings: class of its block of `data`.
        Evaluation: class of its block of `evaluation`.
        real_split: that real sequences are taken from, to compare samples with and to give to samplers.
        shuffled: whether neighbours in a split depend on each other, so that sets are drawn from all over it.
        given: whether samplers may be given tokens.
        reads_text: whether a frozen text encoder can read its sequences.
        references: families of rows that no trained model made, in the order of tables.
    """

    name: ClassVar[str]
    Settings: ClassVar[type[DataConfig]]
    Evaluation: ClassVar[type[EvaluationConfig]]
    real_split: ClassVar[str] = "validation"
    shuffled: ClassVar[bool] = False
    given: ClassVar[bool] = True
    reads_text: ClassVar[bool] = False
    references: ClassVar[Mapping[str, Reference]] = {
        "real": Reference(
            "Real data", meaning="held-out data, measured as samples are: what a perfect model would reach"
        )
    }

    settings: SettingsT
    evaluation: EvaluationT

    def __init_subclass__(cls, **options: Any):
        super().__init_subclass__(**options)
        if "Settings" in vars(cls):
            cls.Settings.task = cls

    def __init__(self, suite: Suite, key: str, device: str | torch.device = "cpu"):
        self.suite, self.key, self.device, self.seed = suite, key, torch.device(device), suite.seed
        self.settings = suite.data[key]  # type: ignore[assignment]
        self.evaluation = suite.evaluation_of(key)  # type: ignore[assignment]

    @property
    def folder(self) -> Path:
        """Of the data, from the folder of the suite."""
        return Path(f"artifacts/data/{self.key}")

    # The data.

    @abstractmethod
    def build(self, folder: Path) -> None:
        """Write the sequences of every split into the folder, with whatever else is needed to read them."""

    def rows(self, split: str) -> Rows:
        """The sequences of a split, (M, N); they stay on disk until they are asked for."""
        return Rows.open(self.folder / split, self.device)

    @abstractmethod
    def decode(self, ids: Sequence[int]) -> str:
        """Ids as people read them; specials and the mask, V, leave nothing."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Ids of a prompt, without specials."""

    @property
    def start(self) -> int | None:
        """Id that every sequence starts with, or None."""
        return None

    @property
    def readers(self) -> list[Path]:
        """Files that `encode` and `decode` read."""
        return []

    def encoder(self, config: EncoderConfig) -> FrozenTextEncoder:
        """A frozen text encoder that reads the sequences."""
        raise NotImplementedError(f"{self.name} has no text to encode")

    # Real sequences.

    def real(self, use: Use, index: int, count: int) -> Tensor:
        """The real sequences for one use and the index-th seed, int64 (count, N); any two of these sets are disjoint.

        Where the task is shuffled they come from all over the split. Sets are disjoint in sequences, not in documents.

        Raises:
            ConfigError: there are not so many.
        """
        rows = self.rows(self.real_split)
        place = USES.index(use) * len(self.evaluation.reference.seeds) + index
        if (place + 1) * count > len(rows):
            raise self._too_few((place + 1) * count, len(rows))
        return rows[self._order(len(rows), "real")[place * count : (place + 1) * count]].long()

    def check_real(self) -> None:
        """Whether there are sequences enough for all sets that sweeps and references take.

        Raises:
            ConfigError: there are too few.
        """
        reference = self.evaluation.reference
        given = any(sweep.given is not None for sweep in self.suite.sweeps.values() if sweep.data == self.key)
        needed = (len(USES) if given else len(USES) - 1) * len(reference.seeds) * reference.samples
        if needed > (found := len(self.rows(self.real_split))):
            raise self._too_few(needed, found)

    def given_positions(self, given: GivenConfig, seed: int, count: int) -> Tensor:
        """Which positions each sampler is given, bool (count, N): the same number of them on every row."""
        tokens = self.settings.tokens
        kept = max(1, round(given.share * tokens))
        if given.kind == "prefix":
            return (torch.arange(tokens, device=self.device) < kept).expand(count, tokens)
        noise = SampleNoise(derive(self.suite.seed, "given", seed), torch.arange(count, device=self.device))
        return noise.uniform("position", 0, tokens).argsort(dim=1).argsort(dim=1) < kept

    def held_out(self, split: str, count: int) -> HeldOut:
        """At most ``count`` sequences of a split to measure likelihoods on; larger sets begin with the smaller ones."""
        rows = self.rows(split)
        wanted = self._order(len(rows), "held out", split)[:count]
        return HeldOut(rows[wanted].long(), self.documents_of(rows, wanted))

    def documents_of(self, rows: Rows, wanted: Tensor) -> Tensor | None:
        """The document that each of the wanted rows is of, int64 (n,); None where all rows are independent."""
        return None

    def _order(self, count: int, *names: str) -> Tensor:
        if not self.shuffled:
            return torch.arange(count)
        return torch.from_numpy(np.random.default_rng(derive(self.suite.seed, *names)).permutation(count))

    def _too_few(self, needed: int, found: int) -> ConfigError:
        reference, data = self.evaluation.reference, f"data.{self.key}"
        return ConfigError(
            f"evaluation.reference.samples: {reference.samples} samples x {len(reference.seeds)} seeds need {needed} "
            "real sequences (to compare with, for the floor and, where a sweep is given tokens, to give), but "
            f"{data} has only {found}; lower the samples or the number of seeds, or hold out more ({data}."
            f"{self.real_split})"
        )

    # Measurements.

    @abstractmethod
    def metric_settings(self) -> Mapping[str, Plain]:
        """The metrics of its samples and their settings, by name, in the order of the rows."""

    def metrics(self) -> list[Metric]:
        """Those, and what the evaluation asks for besides.

        Raises:
            ConfigError: one is not registered.
        """
        wanted = dict(self.metric_settings()) | self.evaluation.metrics
        return [metric_of(name, settings, "evaluation.metrics") for name, settings in wanted.items()]

    @property
    def bound_settings(self) -> BoundSettings:
        """Of likelihood bounds; all models see the same times and masks."""
        return BoundSettings(self.evaluation.time_draws, self.evaluation.batch, derive(self.suite.seed, "evaluate"))

    @abstractmethod
    def likelihood_rows(self, row: Row, bounds: Bounds) -> list[Row]:
        """What is reported of the bounds of a model.

        Args:
            row: says what model.
            bounds: its bounds as a function of sequences; {} of a system without.
        """

    @abstractmethod
    def reference_rows(self, row: Row, values: Values) -> tuple[list[Row], Shown]:
        """Rows that models are held against: known answers, real data, simple models; and real sequences to show."""

    # What metrics may ask for.

    def texts(self, x: Tensor) -> list[str]:
        return [self.decode(row) for row in x.tolist()]

    def compared(self, index: int, count: int) -> Tensor:
        return self.real("compared", index, count)

    # Checks and sizes of params.yaml.

    def check(self) -> None:
        """Refuse settings of the data that do not fit those of the evaluation.

        Raises:
            ValueError: with the key, the value and what is allowed.
        """

    @classmethod
    def with_room(cls, data: Plain, sequences: int) -> Plain:
        """The values of a block of `data`, with at least so many real sequences where they are drawn."""
        return data

    @classmethod
    def small(cls, data: Plain, evaluation: Plain, sizes: Mapping[str, int]) -> None:
        """Change both blocks in place, so that all stages run in minutes."""

    @classmethod
    def stand_ins(cls, data: Plain, evaluation: Plain, offline: Plain) -> Iterable[tuple[str, Plain, Plain]]:
        """For every block with an asset: its place in params.yaml, the block, and what may stand in for its asset.

        ``offline`` is a params.yaml whose assets are at hand.
        """
        return ()
