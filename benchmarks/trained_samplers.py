"""Lines of `benchmarks.samplers` of trained models: all samplers, and all token samplers beside latents."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any

import torch

import ladd
from benchmarks.sampler_tables import Cell, Line, cell_of_seeds
from benchmarks.samplers import BUDGETS, Setting, settings
from ladd.config.messages import shown
from ladd.diffusion.masked import MaskedProcess
from ladd.errors import ConfigError
from ladd.generation.draw import Drawn
from ladd.metrics.base import Metric, Samples
from ladd.samplers.sources import PairSource
from ladd.systems.base import System

BESIDE_LATENTS = ("latents-first", "latents-along")


def trained_lines(options: argparse.Namespace) -> tuple[str, str, list[Line]]:
    """Title, which values are better, and lines of the models that are asked for, real data first."""
    lines: list[Line] = []
    for name in options.models:
        model = ladd.load(name, suite=options.suite)
        metric = quality(model)
        if not lines:
            index = range(options.seeds)
            floor = cell_of_seeds([shown_value(model, metric, real(model, i, options.count), i) for i in index], [0.0])
            lines.append(Line("real data", "", "", [floor] * len(BUDGETS)))
        for sampler, words, own in choices(model, options.latent_steps):
            cells = [cell(model, metric, sampler, steps, own, options) for steps in BUDGETS]
            lines.append(Line(sampler, words, name, cells))
            print(lines[-1].plain(), flush=True)
    scale = "" if metric.factor == 1 else f", x {metric.factor:g}"
    return f"{model.suite.suite}: {metric.title.split(',')[0]}{scale}", metric.better, lines


def quality(model: Any) -> Metric:
    """The metric of quality of its task: the first by order."""
    return min(model.task.metrics(), key=lambda each: (each.role != "quality", each.order))


def choices(model: Any, latent_steps: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Samplers of a model: name, what is not the default in words, and settings."""
    taken, system = model.samplers, System.of(model.suite, model.key)
    process: Any = getattr(system, "process", None)  # a model from left to right has none
    for setting in [] if process is None else settings(type(process)):
        if setting.kind.name in taken:
            yield setting.kind.name, setting.words, setting.own
    if not issubclass(system.source, PairSource):
        return
    for outer in BESIDE_LATENTS:
        for setting in settings(MaskedProcess):
            if not hasattr(setting.kind, "Nested") or (outer == BESIDE_LATENTS[1] and not setting.kind.on_grid):  # type: ignore[attr-defined]
                continue
            own: dict[str, Any] = {"tokens": {"schedule": setting.kind.name, **setting.own}}
            if outer == BESIDE_LATENTS[0]:
                own["latent_steps"] = system.latent_steps(latent_steps)
            yield outer, words_of(setting), own


def words_of(setting: Setting) -> str:
    return f"`{setting.kind.name}`" + (f", {setting.words}" if setting.words else "")


def cell(
    model: Any, metric: Metric, sampler: str, steps: int, own: dict[str, Any], options: argparse.Namespace
) -> Cell:
    """Over sampling seeds."""
    values, passes = [], []
    steps = min(steps, model.tokens)
    for seed in range(options.seeds):
        try:
            drawn: Drawn = model.sample(options.count, steps=steps, sampler=sampler, seed=seed, **own)
        except ConfigError as error:
            raise SystemExit(f"{sampler} {shown(own)}: {error}") from None
        values.append(shown_value(model, metric, torch.from_numpy(drawn.tokens), seed))
        passes.append(float(drawn.token_passes.mean() + drawn.latent_passes.mean()))
    return cell_of_seeds(values, passes)


def real(model: Any, index: int, count: int) -> torch.Tensor:
    """Real sequences that samples are not compared with."""
    return model.task.real("floor", index, count)  # type: ignore[no-any-return]


def shown_value(model: Any, metric: Metric, x: torch.Tensor, index: int) -> float:
    found = metric.measure(Samples(model.task, x.to(model.device), index))
    return metric.factor * found.value if math.isfinite(found.value) else math.inf
