"""Sampling of the paper's LM1B models in float32 at K = 1 to 128: the head where tokens are drawn, and everywhere.

Every sample makes its own passes, as in the `sample` stage. Above some steps the dense side makes fewer, and its time
is scaled: all its steps cost the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial

from torch import nn

from benchmarks.gpu import paper
from benchmarks.gpu.setting import Part, Setting, Values, expect
from benchmarks.speed import build, sampling_seconds
from ladd.config import SweepConfig
from ladd.systems.base import System

MODELS = {  # by title: (model, schedule)
    "MDLM": ("lm1b/mdlm", "none"),
    "Di-LADD, joint": ("lm1b/di-32", "joint"),
    "Co-LADD, joint": ("lm1b/co-32", "joint"),
}
BUDGETS = [1, 2, 4, 8, 16, 32, 64, 128]  # token steps K
SAMPLES, DENSE_STEPS = 32, 8


def parts(setting: Setting) -> Iterator[Part]:
    """Every model at all budgets; it is built once."""
    for title, (name, schedule) in MODELS.items():
        system, sweep = paper.system(name, small=setting.rehearsal), paper.sweep(name, schedule)
        model = lru_cache(maxsize=1)(partial(build, system, setting.device))
        for steps in BUDGETS:
            yield Part(f"{title}, K {steps}", partial(measured, system, sweep, model, steps, setting))


def measured(
    system: System, sweep: SweepConfig, model: Callable[[], nn.Module], steps: int, setting: Setting
) -> Values:
    """Seconds of a batch."""
    samples, most = (4, 2) if setting.rehearsal else (SAMPLES, DENSE_STEPS)
    repeats = 0 if setting.rehearsal or steps > 16 else 3
    ours, dense, made = sampling_seconds(
        system, sweep, model(), samples, setting.device, steps, dense_steps=most, repeats=repeats, share_rows=False
    )
    values = {
        "samples": samples,
        "ours, s": ours,
        "dense, s": dense,
        "dense over ours": dense / ours,
        "samples per second": samples / ours,
        "dense samples per second": samples / dense,
        "dense steps made": made,
        "repeats": max(1, repeats),
    }
    return expect(values, time=("a time above 0", ours > 0 and dense > 0))
