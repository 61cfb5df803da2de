"""Every token sampler at the same step budgets: exact denoisers, or the trained models of a suite.

    python -m benchmarks.samplers --write docs/samplers.md
    python -m benchmarks.samplers --suite suites/shidoku --models mdlm di-ladd --write docs/samplers.md

Without --suite: Shidoku, the total variation between the law of the samples and the law of the data, by enumeration
where the law can be enumerated; and the sawtooth, the sliced Wasserstein distance to real sequences. With it: the
metric of quality of the suite's task, for models that are trained. Samplers have their default settings, with some
variants. Tables go to the terminal, and into a file in place of what stands between their markers.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from benchmarks.exact import (
    BinaryMixture,
    Grids,
    UnderUniformNoise,
    equal_group_law,
    masked_source,
    uniform_source,
)
from benchmarks.sampler_tables import Cell, Line, cell_of_seeds, table, write_between
from ladd.config import load_suite
from ladd.diffusion.noise import derive
from ladd.diffusion.process import Process
from ladd.diffusion.uniform import UniformProcess
from ladd.metrics.swd import sliced_wasserstein
from ladd.registry import discover
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import Sampler, Samples, sample_in_batches
from ladd.samplers.scores import has_scores, scores
from ladd.samplers.sources import TokenSource
from ladd.samplers.tokens import TokenSampler
from ladd.tasks.sawtooth import draw_sequences, one_probability
from ladd.tasks.shidoku.grids import CELLS, SIDE, all_grids, symmetries
from ladd.tasks.shidoku.law import ExactLaw, ancestral_laws, uniform_law

BUDGETS = (1, 2, 4, 8, 16)  # K
SEED, BATCH = 7, 4096
# Besides the default settings of every token sampler.
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("remdm-cap", {"remask": 0.2}),
    ("remdm-rescale", {"remask": 0.2}),
    ("psi", {"kappa": 0.5}),
    ("surest-first", {"by": "margin"}),
    ("surest-first", {"by": "entropy"}),
    ("semi-autoregressive", {"block": 4}),
    ("entropy-bounded", {"gamma": 0.0}),
    ("entropy-bounded", {"gamma": 1.0}),
    ("path-planning", {"remask": 0.0, "by": "random"}),
    ("informed-corrector", {"redraw": 4}),
    ("loo-gibbs", {"redraw": 4}),
)
SAWTOOTH = {"tokens": 64, "periods": 2, "floor": 0.01}  # those of the default suite
SHIFTS, DIRECTIONS = 512, 1000


class Setting(NamedTuple):
    """A sampler and what of its settings is not the default."""

    kind: type[Sampler]
    own: dict[str, Any]

    @property
    def words(self) -> str:
        return ", ".join(
            f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in self.own.items()
        )

    def sampler(self, source: Any, steps: int) -> Sampler:
        """It, drawing from a source."""
        return self.kind.of(source, defaults(self.kind) | self.own | {"token_steps": steps})


def defaults(kind: type[Sampler]) -> dict[str, Any]:
    """Settings of a token sampler that are not given."""
    neutral = {"token_lag": 1.0, "temperature": 1.0, "precision": "float64", "eta": 0.0}
    if not issubclass(kind, TokenSampler):
        return neutral
    return neutral | kind.Options().model_dump()


def settings(process: type[Process]) -> list[Setting]:
    """All token samplers that can undo a process, and their variants."""
    kinds = {name: kind for name, kind in discover("ladd.samplers", Sampler).items() if issubclass(kind, TokenSampler)}
    fitting = {name: kind for name, kind in kinds.items() if issubclass(process, kind.processes)}
    rows = [Setting(Ancestral, {}), *(Setting(kind, {}) for kind in fitting.values())]
    rows += [Setting(fitting[name], own) for name, own in VARIANTS if name in fitting]
    return sorted(rows, key=lambda row: row.kind.name)  # stable: variants stand below their sampler


def draw(sampler: Sampler, count: int, tokens: int, mask_id: int, seed: int) -> Samples:
    return sample_in_batches(sampler, torch.full((count, tokens), mask_id), seed, BATCH)


# Shidoku


def shidoku_lines(count: int) -> list[Line]:
    """Total variation of every sampler, of masks and of uniform noise."""
    grids = all_grids()
    table_ = torch.nn.functional.one_hot(torch.from_numpy(grids.astype(np.int64)), SIDE).double()
    lines = []
    for process, source in (
        ("masked", masked_source(Grids(grids, SIDE), CELLS, SIDE)),
        ("uniform", uniform_source(UnderUniformNoise(table_), CELLS, SIDE)),
    ):
        for setting in settings(type(source.tokens.process)):
            cells = [shidoku_cell(setting, source, steps, count) for steps in BUDGETS]
            lines.append(Line(setting.kind.name, setting.words, process, cells))
            print(lines[-1].plain(), flush=True)
    return lines


def shidoku_cell(setting: Setting, source: TokenSource, steps: int, count: int) -> Cell:
    """By enumeration where that is possible; passes are those of samples."""
    sampler = setting.sampler(source, steps)
    exact = enumerated_law(setting, sampler, steps)
    drawn = draw(sampler, count if exact is None else min(count, BATCH), CELLS, SIDE, derive(SEED, "shidoku", steps))
    passes = float(drawn.token_passes.double().mean())
    if exact is not None:
        return Cell(exact.total_variation, 0.0, passes, exact=True)
    value, error = class_distance(drawn.tokens)
    return Cell(value, error, passes)


def enumerated_law(setting: Setting, sampler: Sampler, steps: int) -> ExactLaw | None:
    """The law over the 288 grids, where it can be computed."""
    name, masked = setting.kind.name, not isinstance(sampler.source.tokens.process, UniformProcess)
    if masked and name in ("ancestral", "ancestral-truncated"):
        return _ancestral()[steps - 1]
    if name == "first-hitting" or (name == "path-planning" and setting.own.get("remask") == 0):
        return _equal_groups(steps)
    if has_scores(sampler):
        return ExactLaw(scores(sampler, torch.from_numpy(all_grids().astype(np.int64))).exp().numpy())
    return None


@cache
def _ancestral() -> list[ExactLaw]:
    return ancestral_laws(all_grids(), max(BUDGETS), symmetries())


@cache
def _equal_groups(steps: int) -> ExactLaw:
    return equal_group_law(all_grids(), steps, symmetries())


CLASSES = 12  # of grids that a renaming of values turns into each other, 24 grids each


def class_distance(x: Tensor) -> tuple[float, float]:
    """Total variation of samples (n, 16) from the law of the data, and its standard error.

    No sampler tells values apart, so its law gives all grids of a class the same probability, and the distance between
    the shares of classes is the whole one. With 12 shares in place of 288, the bias of an empirical distance is small.
    """
    place = _classes(x)
    shares = torch.bincount(place[place >= 0], minlength=CLASSES).double() / len(x)
    effect = torch.where(shares > 1 / CLASSES, 0.5, -0.5)[place.clamp(min=0)].masked_fill(place < 0, 0.5).double()
    value = 0.5 * float((shares - 1 / CLASSES).abs().sum() + 1 - shares.sum())
    return value, float(effect.std() / len(x) ** 0.5)


def _classes(x: Tensor) -> Tensor:
    """Class of every sample, int64 (n,), -1 where it is no grid: that of the grid whose first row is 0, 1, 2, 3."""
    first = [grid for grid in torch.from_numpy(all_grids().astype(np.int64)) if grid[:SIDE].tolist() == [*range(SIDE)]]
    whole = (x[:, :SIDE].sort(dim=1).values == torch.arange(SIDE)).all(dim=1)
    names = x[:, :SIDE].argsort(dim=1)  # value -> its place in the first row
    renamed = names.gather(1, x)
    same = (renamed[:, None] == torch.stack(first)).all(dim=2) & whole[:, None]
    return torch.where(same.any(dim=1), same.double().argmax(dim=1), -1)


def class_floor(count: int) -> float:
    """Expected value of `class_distance` of as many perfect samples."""
    return uniform_law(CLASSES).expected_total_variation(count)


# The sawtooth


def sawtooth_lines(count: int, seeds: int) -> list[Line]:
    """1000 x sliced Wasserstein distance to real sequences of every sampler, of masks and of uniform noise."""
    shift = (np.arange(SHIFTS) + 0.5) / SHIFTS / SAWTOOTH["periods"]
    ones = one_probability(shift, SAWTOOTH["tokens"], SAWTOOTH["periods"], SAWTOOTH["floor"])
    table_ = torch.from_numpy(np.stack([1 - ones, ones], axis=-1))
    lines = [Line("real data", "", "", [real_distance(count, seeds)] * len(BUDGETS))]
    for process, source in (
        ("masked", masked_source(BinaryMixture(ones), SAWTOOTH["tokens"], 2)),
        ("uniform", uniform_source(UnderUniformNoise(table_), SAWTOOTH["tokens"], 2)),
    ):
        for setting in settings(type(source.tokens.process)):
            samplers = [setting.sampler(source, steps) for steps in BUDGETS]
            cells = [
                sawtooth_cell(partial(draw, each, count, SAWTOOTH["tokens"], 2), count, seeds) for each in samplers
            ]
            lines.append(Line(setting.kind.name, setting.words, process, cells))
            print(lines[-1].plain(), flush=True)
    return lines


def sawtooth_cell(drawn: Callable[[int], Samples], count: int, seeds: int) -> Cell:
    distances, passes = [], []
    for seed in range(seeds):
        samples = drawn(derive(SEED, "sawtooth", seed))
        distances.append(1000 * distance(samples.tokens, real(count, f"real-{seed}")))
        passes.append(float(samples.token_passes.double().mean()))
    return cell_of_seeds(distances, passes)


def real_distance(count: int, seeds: int) -> Cell:
    """Of other real sequences."""
    pairs = [(real(count, f"floor-{seed}"), real(count, f"real-{seed}")) for seed in range(seeds)]
    return cell_of_seeds([1000 * distance(*pair) for pair in pairs], [0.0])


@cache
def real(count: int, name: str) -> Tensor:
    return torch.from_numpy(draw_sequences(count, SEED, name, **SAWTOOTH)).long()  # type: ignore[arg-type]


def distance(a: Tensor, b: Tensor) -> float:
    return float(sliced_wasserstein(a, b, DIRECTIONS, SEED).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", type=Path, help="of trained models; without it, exact denoisers")
    parser.add_argument("--models", nargs="+", default=[], help="baselines and models of the suite")
    parser.add_argument("--samples", type=int, default=2**16, help="of Shidoku, where no law is enumerated")
    parser.add_argument("--count", type=int, default=2048, help="samples per seed elsewhere")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--latent-steps", type=int, default=8, help="of models with latents, at most one per code")
    parser.add_argument("--write", type=Path, help="file with markers, such as docs/samplers.md")
    options = parser.parse_args()
    if (options.suite is None) != (not options.models):
        parser.error("--suite and --models go together")
    if options.suite is None:
        floor = class_floor(options.samples)
        tables = {
            "shidoku": table("Shidoku: total variation", shidoku_lines(options.samples), BUDGETS, digits=3)
            + f"\n{options.samples} samples where no law is enumerated: as many perfect ones are expected to show "
            f"{floor:.3f}.\n",
            "sawtooth": table("Sawtooth: 1000 SWD", sawtooth_lines(options.count, options.seeds), BUDGETS, digits=2),
        }
    else:
        from benchmarks.trained_samplers import trained_lines

        title, better, lines = trained_lines(options)
        text = table(title, lines, BUDGETS, digits=2, better=better)
        tables = {f"trained {load_suite(options.suite / 'params.yaml').suite}": text}
    for name, text in tables.items():
        print(f"\n{text}")
        if options.write is not None:
            write_between(options.write, name, text)


if __name__ == "__main__":
    main()
