"""An ablation as asked for: the fields are those of `ladd ablate` and of the form in the browser; its cells."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from ladd.config import Block, Suite, SystemSettings
from ladd.config.blocks import Count, Seed
from ladd.errors import ConfigError
from ladd.launch.confine import SUITE

Kind = Literal["discrete", "continuous"]
Schedule = Literal["joint", "sequential"]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$", max_length=60)]
Length = Annotated[int, Field(ge=1, le=4096)]
Codes = Annotated[int, Field(ge=2, le=1_048_576)]
Steps = Annotated[int, Field(ge=1, le=4096)]
Samples = Annotated[int, Field(ge=2, le=2**24)]


class Grid(Block):
    """Every combination of kind of latents, L, K and schedule, built on the models of a suite."""

    name: Name = Field(
        title="Name",
        description="Of the new suite, suites/NAME: letters, digits and hyphens.",
        examples=["sawtooth-lk"],
    )
    suite: str = Field(
        default=".",
        pattern=f"^({SUITE})$",
        title="Base suite",
        description="The suite that gives all other settings: . is the default suite, others are suites/NAME.",
    )
    kinds: list[Kind] = Field(
        default=["discrete"],
        min_length=1,
        title="Kinds of latents",
        description="discrete is Di-LADD, continuous is Co-LADD.",
    )
    lengths: list[Length] = Field(
        default=[1, 2], min_length=1, title="L", description="Latent lengths, each at most N."
    )
    codebooks: list[Codes] = Field(
        default=[16, 64], title="K", description="Codebook sizes of discrete latents; continuous ones have none."
    )
    schedules: list[Schedule] = Field(
        default=["joint", "sequential"], min_length=1, title="Inference schedules", description="One sweep each."
    )
    token_steps: list[Steps] = Field(
        default=[1, 2, 4, 8],
        min_length=1,
        title="Step budgets",
        description="Token steps to sample with, each at most N.",
    )
    seeds: list[Seed] = Field(
        default=[0, 1, 2], min_length=1, title="Seeds", description="Of sampling; every budget is sampled at each."
    )
    samples: Samples | None = Field(default=None, title="Samples per seed", description="Empty: as in the base suite.")
    latent_steps: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        default=None,
        title="Latent steps",
        description="Before the tokens, in the sequential schedule. Empty: as in the base suite.",
    )
    stage1_steps: Count | None = Field(
        default=None, title="Stage 1 steps", description="Training of the latents. Empty: as in the base suite."
    )
    stage2_steps: Count | None = Field(
        default=None, title="Stage 2 steps", description="Training of the models. Empty: as in the base suite."
    )
    discrete_model: str | None = Field(
        default=None, title="Discrete base", description="Di-LADD model of the base suite. Empty: its first."
    )
    continuous_model: str | None = Field(
        default=None, title="Continuous base", description="Co-LADD model of the base suite. Empty: its first."
    )
    baselines: bool = Field(
        default=True, title="Baselines", description="Keep the models without latents of the base suite, to compare."
    )
    overrides: dict[str, Any] = Field(
        default={},
        title="Overrides",
        description='Other settings of the base suite, by dotted key: {"models.di-ladd.latent_weight": 2.0}.',
    )

    @field_validator("suite", mode="before")
    @classmethod
    def _without_slash(cls, suite: Any) -> Any:
        """Shells complete the names of folders with a slash."""
        return suite.removesuffix("/") if isinstance(suite, str) else suite

    @model_validator(mode="after")
    def _check(self) -> Grid:
        for name in ("kinds", "lengths", "codebooks", "schedules", "token_steps", "seeds"):
            values = getattr(self, name)
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{name} {values} has {twice[0]!r} twice; remove one")
        if "discrete" in self.kinds and not self.codebooks:
            raise ValueError("codebooks []: discrete latents need at least one K")
        return self


class Cell(NamedTuple):
    """One combination."""

    kind: Kind
    base: str  # model of the base suite
    length: int  # L
    codebook: int | None  # K
    schedule: Schedule

    @property
    def shape(self) -> str:
        """Such as L1-K16."""
        return f"L{self.length}" + ("" if self.codebook is None else f"-K{self.codebook}")

    @property
    def model(self) -> str:
        """Its model, which cells share that differ in the schedule alone."""
        return f"{self.base}-{self.shape}"

    @property
    def name(self) -> str:
        return f"{self.model}-{self.schedule}"


def cells_of(grid: Grid, suite: Suite) -> Iterator[Cell]:
    """Every combination, those that make no sense included.

    Continuous latents have no K: there is one of them per L. Where nothing else could want a K that is asked for, it
    is a combination too, for the checks of the suite to refuse. Raises ConfigError: the base suite has no model of a
    kind."""
    for kind in grid.kinds:
        base = _base(grid, suite, kind)
        codebooks: list[int | None] = [*grid.codebooks]
        if kind == "continuous":
            codebooks = [None] if "discrete" in grid.kinds else [None, *codebooks]
        for length in grid.lengths:
            for codebook in codebooks:
                for schedule in grid.schedules:
                    yield Cell(kind, base, length, codebook, schedule)


def _base(grid: Grid, suite: Suite, kind: Kind) -> str:
    field = f"{kind}_model"
    known = [key for key, model in suite.models.items() if _kind(suite, model) == kind]
    asked = getattr(grid, field)
    if asked is not None and asked not in known:
        raise ConfigError(f"{field}: {asked!r} is no model on {kind} latents of {grid.suite}; it has {known}")
    if not known:
        raise ConfigError(f"kinds: {grid.suite} has no model on {kind} latents to build cells on")
    return asked or known[0]


def _kind(suite: Suite, model: SystemSettings) -> Kind:
    assert model.latents_name is not None
    return "continuous" if suite.latent_shape(model.latents_name).codebook is None else "discrete"


def flag(field: str) -> str:
    """The option of `ladd ablate` for a field of a grid."""
    return "--" + {"overrides": "set"}.get(field, field.replace("_", "-"))


def command_of(grid: Grid) -> str:
    """The `ladd ablate` command that gives this grid, in a form for a shell; defaults are left out."""
    words = ["ladd", "ablate", grid.name]
    for name, field in Grid.model_fields.items():
        value = getattr(grid, name)
        if name != "name" and value != field.default:
            words += _option(flag(name), value)
    return shlex.join(words)


def _option(option: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [option if value else f"--no-{option.removeprefix('--')}"]
    if isinstance(value, dict):  # JSON is YAML too, and one line
        return [option, *(f"{key}={json.dumps(each)}" for key, each in value.items())]
    return [option, *map(str, value if isinstance(value, list) else [value])]
