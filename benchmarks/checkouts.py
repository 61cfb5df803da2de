"""Speed of the code in one checkout against that in another, at the size of a suite that both hold the artifacts of.

    git worktree add ../before COMMIT && cp -r artifacts ../before/
    python -m benchmarks.checkouts ../before .

Training steps of all trainings and a batch of samples at all points of all sweeps, on a CPU. The two checkouts take
turns in one process. There are several processes, and in every second one the other checkout is built first: where
memory lies can favour one of them by 1 to 2 % for as long as a process lives.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

Calls = dict[str, Callable[[], object]]
TIMED = ("stage1", "prior", "baseline", "stage2", "sample")


def stages_of(folder: Path) -> list[str]:
    """All that a suite trains and samples, such as "stage1@di"."""
    from ladd.config import load_suite  # here alone: other processes import each side's ladd and no third one
    from ladd.stages.plan import stages_in_order

    return [f"{name}@{key}" for name, key in stages_in_order(vars(load_suite(folder / "params.yaml"))) if name in TIMED]


def load(folder: Path, stage: str) -> Calls:
    """What the code in ``folder`` repeats in a stage, by name."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "ladd"]:
        del sys.modules[name]
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        name, key = stage.split("@")
        module = import_module(f"ladd.stages.{name}")
        if not Path(str(module.__file__)).is_relative_to(folder):
            raise ImportError(f"the code of {module.__file__} is not that of {folder}")
        suite = import_module("ladd.config").load_suite()
        return _points(module, suite, key) if name == "sample" else {stage: _step(module, suite, name, key)}
    finally:
        sys.path.remove(str(folder))


def _step(module: Any, suite: Any, name: str, key: str) -> Callable[[], object]:
    declaration = import_module("ladd.stages.declaration").read_declaration(name, key)
    training = module.training(import_module("ladd.stages.runtime").Stage(suite, key, declaration))
    trainer = import_module("ladd.training.loop").Trainer(training.task, training.config, None, seed=1)
    return trainer.train_step


def _points(module: Any, suite: Any, key: str) -> Calls:
    sweep, device = suite.sweeps[key], module.use_device(suite.compute)
    model = module.load_sampled(suite, sweep, device)
    batch = suite.run.batch
    start = module.starting_tokens(suite, sweep, 0, device)[:batch]
    return {
        f"sample@{key} {point.name}": partial(
            module.sample_in_batches, module.sampler_of(suite, sweep, model, point), start, 1, batch
        )
        for point in sweep.points
    }


def compare(folders: Sequence[Path], stages: Sequence[str], budget: float) -> dict[str, float]:
    """Logarithm of the first folder's mean time over the second's, by name of the call; they take turns.

    Args:
        folders: two.
        stages: see `stages_of`.
        budget: seconds that each call gets on each side, roughly; it is made 4 to 100 times.
    """
    logarithms = {}
    for stage in stages:
        sides = [load(folder, stage) for folder in folders]
        for name in sides[0]:
            calls = [side[name] for side in sides]
            warm = [[_seconds(call) for call in calls] for _ in range(3)]
            repeats = min(100, max(4, round(budget / min(warm[-1]))))
            # Whoever comes second finds the caches of the first: that changes with every pair.
            times: list[list[float]] = [[], []]
            for index in range(repeats):
                for side in (0, 1) if index % 2 else (1, 0):
                    times[side].append(_seconds(calls[side]))
            logarithms[name] = math.log(statistics.fmean(times[0]) / statistics.fmean(times[1]))
    return logarithms


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def ratio(forward: Sequence[float], backward: Sequence[float]) -> tuple[float, float]:
    """Ratio of times and its standard error, without what the order of building does.

    Args:
        forward: logarithms of processes that built both sides in this order, at least two.
        backward: of as many that built them in the other one, of the inverse ratio.
    """
    pairs = [(there - back) / 2 for there, back in zip(forward, backward, strict=True)]
    value = math.exp(statistics.fmean(pairs))
    return value, value * statistics.stdev(pairs) / math.sqrt(len(pairs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--stages", nargs="+", help="some only, for example stage1@di sample@mdlm")
    parser.add_argument("--pairs", type=int, default=4, help="of processes, at least 2 (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="per call, side and process (%(default)s)")
    arguments = parser.parse_args()
    if arguments.pairs < 2:
        parser.error(f"--pairs {arguments.pairs}: an error takes at least 2")
    folders = [arguments.before.resolve(), arguments.after.resolve()]
    work = partial(compare, stages=arguments.stages or stages_of(folders[1]), budget=arguments.seconds)
    orders = [order for _ in range(arguments.pairs) for order in (folders, folders[::-1])]
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as processes:
        found = list(processes.map(work, orders))
    for name in found[0]:
        value, error = ratio([logs[name] for logs in found[::2]], [logs[name] for logs in found[1::2]])
        print(f"{name}: before over after {value:.3f} +- {error:.3f}")


if __name__ == "__main__":
    main()
