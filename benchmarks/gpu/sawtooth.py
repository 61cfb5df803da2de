"""A short training of the sawtooth at the paper's size: the first steps on the CPU too, with the same losses."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from statistics import fmean, median
from typing import cast

import torch
from torch import nn

from benchmarks.gpu import paper
from benchmarks.gpu.setting import CPU, Part, Setting, Values, expect
from benchmarks.measure import seconds
from benchmarks.speed import Nowhere
from ladd.config import TrainingConfig
from ladd.systems.base import System
from ladd.tasks.sawtooth import draw_sequences
from ladd.training.batches import TokenTask
from ladd.training.executor import InlineContext
from ladd.training.loop import Trainer

NAME = "sawtooth-paper/mdlm"
PERIODS, FLOOR = 2, 0.01
COMPARED, LEAST_COMPARED = 8, 3  # steps on both, fewer where they take the CPU more than so many seconds
MOST_SECONDS = 25.0
MOST = 1e-4  # relative difference of a loss


def parts(setting: Setting) -> Iterator[Part]:
    """One training."""
    yield Part("MDLM, float32", partial(training, 20 if setting.rehearsal else 500, setting))


def training(steps: int, setting: Setting) -> Values:
    """Losses of both, and where the longer training on the device ends."""
    system = paper.system(NAME, small=setting.rehearsal)
    torch.manual_seed(0)
    model = system.build()
    here = make_trainer(system, copy.deepcopy(model), CPU)
    there = make_trainer(system, model.to(setting.device), setting.device)
    slow: list[float] = []
    while len(slow) < LEAST_COMPARED or (len(slow) < COMPARED and sum(slow) < MOST_SECONDS):
        slow.append(seconds(here.train_step, CPU))
    fast = [seconds(there.train_step, setting.device) for _ in range(steps)]
    expected, found = ([float(row["loss"]) for row in trainer.own] for trainer in (here, there))
    both = list(zip(expected, found, strict=False))
    apart = max(abs(a - b) / abs(a) for a, b in both)
    first, last = fmean(found[:COMPARED]), fmean(found[-COMPARED:])
    values = {
        "steps on both": len(both),
        "losses differ by at most": apart,
        "losses on the CPU": expected,
        "losses on the device": found[: len(both)],
        "steps on the device": steps,
        "mean of its first losses": first,
        "mean of its last losses": last,
        "CPU ms per step": 1e3 * median(slow),
        "device ms per step": 1e3 * median(fast),
    }
    return expect(
        values,
        losses=(f"losses that differ by {MOST:g} at most", apart <= MOST),
        falls=("a loss that falls", setting.rehearsal or last < first),
    )


def make_trainer(system: System, model: nn.Module, device: torch.device) -> Trainer:
    """The training of the suite without its warm-up, under which the first steps change nothing."""
    config: TrainingConfig = system.settings.training
    executor = config.executor.model_copy(update={"micro_batch": max(1, config.batch // 4)})
    config = config.model_copy(update={"warmup": 0, "executor": executor})
    drawn = draw_sequences(16 * config.batch, 0, "train", tokens=system.tokens, periods=PERIODS, floor=FLOOR)
    x = torch.from_numpy(drawn).to(device)
    task = TokenTask(model, system.losses, x, x, system.vocabulary)
    return Trainer(task, config, cast("InlineContext", Nowhere()), seed=0)
