"""sample@S: draw the samples of a sweep, for every step budget and seed, and keep them."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ladd.cluster import share_out, workers_asked
from ladd.config import Suite, SweepConfig, SweepPoint
from ladd.data.shards import token_type
from ladd.diffusion.noise import derive
from ladd.files import write_atomically, write_json
from ladd.progress import bar
from ladd.samplers.base import Sampler, check_unmasked, sample_in_batches
from ladd.stages.artifacts import use_device
from ladd.stages.runtime import TIMED, Stage, machine, run_stage
from ladd.stages.seconds import METRIC, write_seconds
from ladd.stages.trained import load_sampled
from ladd.systems.base import System
from ladd.tasks import task_of


@dataclass(frozen=True)
class Run:
    """One file of samples."""

    point: SweepPoint
    index: int  # of the real set that the samples are compared with
    seed: int

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.point.name}-seed-{self.seed}"


def main(stage: Stage) -> None:
    task_of(
        stage.suite, stage.suite.sweeps[stage.key].data
    ).check_real()  # before anything is drawn that cannot be compared
    if workers := workers_asked(stage.suite.compute):
        share_out(_sample, (stage,), workers)
    _sample(stage)  # what is not there yet
    names = [run.name for run in _runs(stage)]
    done = {name: json.loads((stage.work / f"{name}.json").read_text()) for name in names}
    with stage.output(f"artifacts/samples/{stage.key}") as folder:
        for name in names:
            os.link(stage.work / f"{name}.npy", folder / f"{name}.npy")
        write_json(folder / "passes.json", {name: run["passes"] for name, run in done.items()})
    write_seconds(stage.key, {name: run[METRIC] for name, run in done.items()})


def _runs(stage: Stage) -> list[Run]:
    sweep = stage.suite.sweeps[stage.key]
    return [Run(point, *numbered) for point in sweep.points for numbered in stage.suite.numbered_seeds(stage.key)]


def _sample(stage: Stage, worker: int = 0, workers: int = 1) -> None:
    """Draw this worker's runs into the work folder, but for those that are there: a killed sweep goes on."""
    suite, sweep = stage.suite, stage.suite.sweeps[stage.key]
    runs = [run for run in _runs(stage)[worker::workers] if not (stage.work / f"{run.name}.json").is_file()]
    if not runs:
        return
    device = use_device(suite.compute)
    model = load_sampled(suite, sweep, device)
    with machine(suite, stage.declaration.name, alone=True):
        _warm_up(stage, model, runs[0], device)
        _draw_all(stage, model, runs, device)


def _warm_up(stage: Stage, model: nn.Module, run: Run, device: torch.device) -> None:
    """One batch of a run in two steps, thrown away: a process is slow while it first meets its kernels and memory."""
    sweep = stage.suite.sweeps[stage.key]
    batch = stage.suite.run.batch
    start = starting_tokens(stage.suite, sweep, run, device)[:batch]
    short = sampler_of(stage.suite, sweep, model, run.point).shortened(2)
    sample_in_batches(short, start, run.seed, batch).tokens.cpu()


def _draw_all(stage: Stage, model: nn.Module, runs: list[Run], device: torch.device) -> None:
    # Samples of all budgets and seeds share one progress bar; a step budget of K costs K passes.
    steps = sum(run.point.token_steps for run in runs)
    with bar("sampling", steps, "pass") as progress:
        for run in runs:
            _draw(stage, model, run, device)
            progress.update(run.point.token_steps)


def _draw(stage: Stage, model: nn.Module, run: Run, device: torch.device) -> None:
    """The samples of one run, and then its description, which says that they are whole."""
    suite, sweep = stage.suite, stage.suite.sweeps[stage.key]
    start = starting_tokens(suite, sweep, run, device)
    noise_seed = derive(suite.seed, "sample", run.seed)
    sampler = sampler_of(suite, sweep, model, run.point)
    begun = time.perf_counter()
    samples = sample_in_batches(sampler, start, noise_seed, suite.run.batch)
    tokens = samples.tokens.cpu().numpy()
    seconds = (time.perf_counter() - begun) / len(tokens)
    check_unmasked(samples.tokens, suite.data[sweep.data].vocabulary, f"{stage.declaration.name}, {run.name}")
    content = io.BytesIO()
    np.save(content, tokens.astype(token_type(suite.data[sweep.data].vocabulary)))
    write_atomically(stage.work / f"{run.name}.npy", content.getvalue())
    passes = {
        "token_passes": float(samples.token_passes.double().mean()),
        "latent_passes": float(samples.latent_passes.double().mean()),
    }
    write_json(stage.work / f"{run.name}.json", {"passes": passes, METRIC: seconds})


def sampler_of(suite: Suite, sweep: SweepConfig, model: nn.Module, point: SweepPoint) -> Sampler:
    """Seconds follow the rule of passes and multiply-adds: every sample makes its own, whatever the batch."""
    settings: dict[str, Any] = {"token_steps": point.token_steps, "temperature": point.temperature}
    return System.of(suite, sweep.model, sweep.prior).sampler(model, sweep, share_rows=False, **settings)


def starting_tokens(suite: Suite, sweep: SweepConfig, run: Run, device: torch.device) -> Tensor:
    """Tokens int64 (n, N) that sampling starts from: masked, but for those that are given."""
    data = suite.data[sweep.data]
    start = torch.full((sweep.samples, data.tokens), data.vocabulary, device=device)
    if sweep.given is None:
        return start
    task = task_of(suite, sweep.data, device)
    given = task.given_positions(sweep.given, run.seed, sweep.samples)
    return torch.where(given, task.real("given", run.index, sweep.samples), start)


if __name__ == "__main__":
    run_stage(TIMED, main)
