"""Train one model under several settings and seeds, and print the validation bound that each ends with.

    python -m benchmarks.tuning benchmarks/tuning_sawtooth.yaml --suite . --seeds 3 [--only NAME ...] [--out FILE]

The file maps names to what they change: {model: mdlm, set: {training.steps: 280, training.optimiser.kind: muon}}, and
``stage1:`` changes the latents of the model, which are then trained before it. Data, and latents that nothing
changes, are those of the suite, whose stages have run. Rows are appended as they are made.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import math
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml

from ladd.config import Suite
from ladd.config.inherit import read_settings
from ladd.diffusion.noise import derive
from ladd.stages import stage1, stage2
from ladd.stages.models import build_training
from ladd.stages.train import Training
from ladd.training.executor import InlineContext
from ladd.training.loop import Trainer

COLUMNS = ["setting", "model", "seed", "step", "bound", "loss", "seconds"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--suite", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of the file; all of them if left out")
    parser.add_argument("--out", type=Path, default=Path("tuning.csv"))
    options = parser.parse_args()
    trials, out = yaml.safe_load(options.file.read_text()), options.out.absolute()
    folder = options.suite.absolute()
    for seed in range(options.seeds):
        for name in options.only or trials:
            rows = [{"setting": name, "seed": seed, **row} for row in run(folder, trials[name], seed)]
            append(out, rows)
            last = rows[-1]
            result = f"step {last['step']} bound {last['bound']:.4f}, {last['seconds']:.0f} s"
            print(f"{name:28} seed {seed} {result}", flush=True)


def run(folder: Path, trial: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Train the model of a trial, after its latents where those are changed; its rows of validation."""
    values, key = read_settings(folder / "params.yaml"), trial["model"]
    block = next(name for name in ("models", "baselines") if key in values[name])
    latents = values[block][key].get("latents")
    change(values[block][key], trial.get("set", {}))
    learned = trial.get("stage1")
    if learned is not None:
        change(values["latents"][latents], learned)
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        link(folder / "artifacts", Path("artifacts"))
        values["root"], values["compute"]["threads"] = str(folder / values["root"]), 1
        suite = Suite.model_validate(values)
        seconds = 0.0  # of trainings, Stage 1 with them
        if learned is not None:
            made = stage1.training(stage(suite, latents, seed))
            started = time.perf_counter()
            average = trainer(made, seed).train()
            seconds = time.perf_counter() - started
            target = Path("artifacts/latents", latents)
            target.unlink(missing_ok=True)
            target.mkdir()
            Path("results/stage1").mkdir(parents=True)
            made.finish(average, target)
        made = (stage2.training if latents else build_training)(stage(suite, key, seed))
        loop, started = trainer(made, seed), time.perf_counter()
        loop.train()
        seconds += time.perf_counter() - started
    return [
        {
            "model": key,
            "step": row["step"],
            "bound": row.get("validation/bound", math.nan),  # of a system without one
            "loss": row["validation/loss"],
            "seconds": round(seconds, 1),
        }
        for row in loop.history
    ]


def change(entry: dict[str, Any], changes: dict[str, Any]) -> None:
    """Set values of an entry by dotted key."""
    for key, value in changes.items():
        *above, name = key.split(".")
        inner = entry
        for each in above:
            inner = inner.setdefault(each, {})
        inner[name] = value


def link(source: Path, target: Path) -> None:
    """The artifacts of a suite as a folder of links, some of which a trial replaces."""
    for kind in ("data", "latents"):
        (target / kind).mkdir(parents=True)
        for each in (source / kind).glob("*"):
            (target / kind / each.name).symlink_to(each)


def stage(suite: Suite, key: str, seed: int) -> Any:
    """What a stage needs to know to build its training."""
    return SimpleNamespace(suite=suite, key=key, seed=derive(suite.seed, "tuning", seed), work=Path("work"))


def trainer(made: Training, seed: int) -> Trainer:
    work = Path("work", made.folder.replace("/", "-"))
    work.mkdir(parents=True)
    return Trainer(made.task, made.config, InlineContext(work), seed=derive(seed, made.folder))


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
