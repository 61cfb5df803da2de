"""The sweeps of an ablation: settings of the base suite's sweeps, budgets and sizes of the grid."""

from __future__ import annotations

from typing import Any, NamedTuple

from ladd.config import SystemSettings
from ladd.errors import ConfigError
from ladd.launch.grid import Cell, Grid
from ladd.launch.values import Values

# Of a schedule that the base suite does not sample the model with: nothing runs ahead, nothing is extra.
NEUTRAL: Values = {"frontier": None, "given": None, "token_lag": 1.0, "latent_lead": 1.0, "eta": 0.0}


class Sampling(NamedTuple):
    """What all sweeps of an ablation have in common, or they could not be compared."""

    token_steps: list[int]
    latent_steps: int | None
    samples: int
    seeds: list[int]

    @classmethod
    def of(cls, base: Values, grid: Grid) -> Sampling:
        """As the grid asks, or as in the base suite."""
        samples = grid.samples or base["evaluation"]["reference"]["samples"]
        return cls(grid.token_steps, grid.latent_steps, samples, grid.seeds)

    @property
    def sizes(self) -> dict[str, Any]:
        """Of every set of samples."""
        return {"samples": self.samples, "seeds": self.seeds}


def baseline_sweep(sweep: Values, model: SystemSettings, sampling: Sampling) -> Values:
    """A sweep of a model without latents; one that goes from left to right takes N steps, whatever is asked."""
    steps = sweep["token_steps"] if model.system.left_to_right else sampling.token_steps
    return sweep | sampling.sizes | {"token_steps": steps}


def cell_sweep(base: Values, cell: Cell, sampling: Sampling) -> Values:
    """The sweep of a cell, with the sampler's settings of the base suite for that model and schedule. Raises
    ConfigError: the base suite has no sweep to take precision from."""
    sweeps = [sweep for sweep in base["sweeps"].values() if sweep["given"] is None]
    same_model = [sweep for sweep in sweeps if sweep["model"] == cell.base]
    same_schedule = [sweep for sweep in sweeps if sweep["schedule"] == cell.schedule]
    both = [sweep for sweep in same_model if sweep in same_schedule]
    if not sweeps:
        raise ConfigError("sweeps: the base suite has none to take the sampler's settings from")
    settings = both[0] if both else (same_model or sweeps)[0] | NEUTRAL
    latent_steps = 0
    if cell.schedule == "sequential":
        known = [sweep["latent_steps"] for sweep in [*both, *same_schedule]]
        latent_steps = sampling.latent_steps or (known[0] if known else 0)
    return settings | {
        "model": cell.model,
        "data": base["models"][cell.base]["data"],
        "schedule": cell.schedule,
        "token_steps": sampling.token_steps,
        "latent_steps": latent_steps,
        **sampling.sizes,
    }
