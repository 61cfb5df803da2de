"""The cells of an ablation: which there are, and what their parts are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ladd.config import Suite, SystemSettings
from ladd.errors import ConfigError
from ladd.launch.grid import Grid, Kind, Schedule


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
        """Of the cell and of its sweep."""
        return f"{self.model}-{self.schedule}"


def cells_of(grid: Grid, suite: Suite) -> Iterator[Cell]:
    """Every combination, those that make no sense included.

    Continuous latents have no K: there is one of them per L. Where nothing else could want a K that is asked for, it is
    a combination too, for the checks of the suite to refuse.

    Raises:
        ConfigError: the base suite has no model of a kind.
    """
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
    """Of the latents of a model."""
    assert model.latents_name is not None
    return "continuous" if suite.latent_shape(model.latents_name).codebook is None else "discrete"
