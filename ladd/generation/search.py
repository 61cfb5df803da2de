"""Which grid to sample on: the one of the least bound at K steps, on validation sequences (docs/samplers.md)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ladd.config import SweepConfig, load_suite
from ladd.config.evaluation import shortest
from ladd.config.inherit import read_settings
from ladd.diffusion.noise import derive
from ladd.errors import ConfigError
from ladd.evaluation.estimate import Estimate, estimate
from ladd.generation.grid_bound import Grid, GridBound, grids
from ladd.generation.model import Model
from ladd.progress import counted
from ladd.registry import PARAMS
from ladd.samplers.sources import PairSource
from ladd.systems.base import System
from ladd.yaml_files import parse_yaml

LAGS = [1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0]
LEADS = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
MOST = 100.0  # of both, as params.yaml has it
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        grid: the best.
        own: that of the sweep.
        tried: how many grids.
        bound, own_bound: nats per token, of sequences that the grid was not chosen on.
        gain: own_bound - bound, with the error of the difference over the same sequences.
        free: names of the settings that were searched.
    """

    grid: Grid
    own: Grid
    tried: int
    bound: Estimate
    own_bound: Estimate
    gain: Estimate
    free: tuple[str, ...]


def search(model: Model, token_steps: int, *, sequences: int = 512, draws: int = 4, seed: int = 0) -> Found:
    """The best grid of the sweep that a model was loaded with, at a step budget.

    Half of the sequences choose, the other half say how much better the choice is than the sweep's own grid.

    Args:
        model: loaded by the name of a sweep.
        token_steps: K.
        sequences: of the validation split, at least 4.
        draws: of masks, per sequence.
        seed: of the masks.
    Raises:
        ConfigError: the sampler of the sweep has no grid to bend, or there is no bound.
    """
    sweep = model.default
    free = free_settings(model, sweep, token_steps)
    with model._here(), model._drawn_by(sweep.prior):
        held_out = model.task.held_out("validation", sequences)
        system = System.of(model.suite, model.key, sweep.prior)
        source, x = system.source_of(model.network), held_out.tokens.to(model.device)
        latents = latents_of(model, x) if isinstance(source, PairSource) else None
        options: dict[str, Any] = {
            "token_steps": token_steps,
            "along": "latent_lead" in free,
            "latent_steps": sweep.latent_steps,
            "seed": derive(model.suite.seed, "search", seed),
            "draws": draws,
            "batch": model.suite.run.batch,
        }
        chosen, other = (slice(place, None, 2) for place in (0, 1))
        halves = [
            GridBound(source, x[rows], None if latents is None else latents[rows], **options)
            for rows in (chosen, other)
        ]
        own = Grid(sweep.token_lag, sweep.latent_lead)
        best, tried = least(lambda grid: float(halves[0](grid).mean()), free, own)
        bounds = [halves[1](grid) for grid in (best, own)]
    documents = None if held_out.documents is None else held_out.documents[other]
    bound, own_bound, gain = (estimate(each, documents) for each in (*bounds, bounds[1] - bounds[0]))
    return Found(best, own, tried, bound, own_bound, gain, free)


def free_settings(model: Model, sweep: SweepConfig, token_steps: int) -> tuple[str, ...]:
    """Names of the settings of its grid that the sampler of a sweep reads."""
    if not 2 <= token_steps <= model.tokens:
        raise ConfigError(f"--steps {token_steps}: one step has no grid; write 2 to N = {model.tokens}")
    kind = model.suite.model(model.key).system.samplers(model.suite.model(model.key))[sweep.schedule]
    free = tuple(name for name in Grid._fields if name in kind.options())
    if "token_lag" not in free or not getattr(kind, "on_grid", True):
        raise ConfigError(
            f"{model.name}: {kind.name!r} has no time grid to bend; take a sweep of a sampler that reads token_lag"
        )
    return free


def latents_of(model: Model, x: Tensor) -> Tensor:
    """Codes (n, L), or vectors (n, L, w), of clean sequences."""
    found = model.encode(x.cpu().numpy())
    return torch.from_numpy(found.vectors if found.codes is None else found.codes).to(x.device)


def least(value: Callable[[Grid], float], free: Sequence[str], own: Grid) -> tuple[Grid, int]:
    """The grid of the least value, and how many were tried: those of a list and the sweep's own, then, twice, what is
    between the best and its neighbours, by geometric means."""
    lags, leads = sorted({*LAGS, own.token_lag}), sorted({*LEADS, own.latent_lead}) if "latent_lead" in free else [1.0]
    known: dict[Grid, float] = {}

    def add(wanted: Sequence[Grid]) -> None:
        new = [grid for grid in wanted if grid not in known]
        known.update({grid: value(grid) for grid in counted(new, "search", "grid")})

    add([*grids(lags, leads)])
    for _ in range(2):
        best = min(known, key=known.__getitem__)
        lags, leads = _around(best.token_lag, lags), _around(best.latent_lead, leads)
        add([*grids(lags, leads)])
    return min(known, key=known.__getitem__), len(known)


def _around(best: float, values: list[float]) -> list[float]:
    """A value, and the geometric means between it and its neighbours."""
    values = sorted({*values, best})
    place = values.index(best)
    means = [(best * other) ** 0.5 for other in values[max(place - 1, 0) : place + 2] if other != best]
    return sorted({round(min(each, MOST), 3) for each in [best, *means]})


def entry(base: str, found: Found, token_steps: int) -> str:
    """The best grid as a sweep in YAML, on one line, that takes over the rest from another."""
    settings = {name: shortest(getattr(found.grid, name)) for name in found.free}
    lines = ", ".join(f"{name}: {value if '.' in value else f'{value}.0'}" for name, value in settings.items())
    return f"{{extends: {base}, {lines}, token_steps: [{token_steps}], frontier: null}}"


def describe(found: Found) -> str:
    """In two lines."""

    def of(grid: Grid) -> str:
        return ", ".join(f"{name} {getattr(grid, name):g}" for name in found.free)

    error = "" if found.gain.stderr is None else f" +- {found.gain.stderr:.4f}"
    return (
        f"own grid: {of(found.own)}: {found.own_bound.value:.4f} nats per token\n"
        f"best of {found.tried}: {of(found.grid)}: {found.bound.value:.4f}, lower by {found.gain.value:.4f}{error} on "
        f"{found.gain.n} sequences that did not choose it"
    )


def add_sweep(folder: Path, name: str, line: str) -> None:
    """Write a sweep into the params.yaml of a suite, below its other sweeps; all that is there stays as it is.

    Raises:
        ConfigError: the name is taken or no key, the block is not written line by line, or the suite would not be
            valid; then nothing is written.
    """
    path = folder / PARAMS
    if not KEY.fullmatch(name):
        raise ConfigError(f"--write {name!r}: a key has letters, digits, - and _, such as di-joint-8")
    if name in read_settings(path).get("sweeps", {}):
        raise ConfigError(f"--write {name}: {path} has a sweep of that name; take another")
    old = path.read_text(encoding="utf-8")
    text, partial = with_sweep(old, name, line, path), path.with_name(f".{path.name}.{os.getpid()}")
    before, after = parse_yaml(old, path), parse_yaml(text, path)
    expected = before | {"sweeps": (before.get("sweeps") or {}) | {name: parse_yaml(line, "the sweep")}}
    assert after == expected, "a line for the new sweep changes nothing else"
    try:
        partial.write_text(text, encoding="utf-8")
        load_suite(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def with_sweep(text: str, name: str, line: str, path: Path) -> str:
    """The text of a params.yaml with a line for a sweep at the end of its block, which is added where it is missing."""
    lines = text.splitlines()
    begin = next((i for i, each in enumerate(lines) if re.match(r"sweeps\s*:", each)), None)
    if begin is None:
        return f"{text.rstrip()}\n\nsweeps:\n  {name}: {line}\n"
    if not re.fullmatch(r"sweeps\s*:\s*(#.*)?", lines[begin]):
        raise ConfigError(f"{path}: sweeps: the block is written on one line; give every sweep a line of its own")
    end, indent = begin + 1, "  "
    for place in range(begin + 1, len(lines)):
        if lines[place].strip() and not lines[place].startswith((" ", "#")):
            break
        if lines[place].startswith(" "):
            indent = indent if end > begin + 1 else re.match(" +", lines[place])[0]  # type: ignore[index]
            end = place + 1
    return "\n".join([*lines[:end], f"{indent}{name}: {line}", *lines[end:]]) + "\n"
