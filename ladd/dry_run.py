"""Rehearsal of a suite: all of its stages with tiny counts, on a CPU and on the offline assets (docs/SUITES.md).

Keys, families, schedules, poolings and kinds stay those of the suite, so a setting that cannot run is found in minutes
and not after days. The numbers that come out mean nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from ladd.assets import fetch_asset, store_folder
from ladd.config import AssetConfig, ExecutorConfig
from ladd.errors import LaddError
from ladd.files import storage_error
from ladd.launch.overrides import read_values
from ladd.launch.pipeline import MODULES
from ladd.registry import find, suite_folder
from ladd.stages.planned import stages_in_order
from ladd.stages.runtime import WORK, execute, stage_lock
from ladd.systems.base import System
from ladd.tasks import Task
from ladd.tracking.store import variable
from ladd.yaml_files import write_yaml

Values = dict[str, Any]  # of params.yaml, or of a block of it

OFFLINE_SUITE = "suites/text-demo"  # names the assets that stand in
TOKENS, WIDTH, CODES = 32, 8, 4  # N, w, K, at most
SAMPLES, SEEDS = 4, 2  # per point of a sweep; how many seeds
SEQUENCES = 8  # that are measured
EXECUTOR = ExecutorConfig().model_dump()  # in this process
TRAINING = {"steps": 4, "batch": 16, "validate_every": 2, "checkpoint_every": 2, "executor": EXECUTOR}
TRAINED = ("latents", "priors", "baselines", "models")  # blocks whose entries have a training
NETWORK = {"width": 16, "layers": 2, "heads": 2, "condition": 8}


class Substitution(NamedTuple):
    """An asset of the hub and what stands in for it."""

    place: str  # in params.yaml
    asset: str
    stand_in: str


def shrink(values: Values, offline: Values) -> tuple[Values, list[Substitution]]:
    """A suite made small, and what its assets were replaced with; the arguments stay as they are.

    Args:
        offline: a params.yaml of text whose assets stand in for those of the hub.
    """
    values, offline = (json.loads(json.dumps(each)) for each in (values, offline))  # no block is shared afterwards
    substitutions = list(_replace_assets(values, offline))
    lengths = {key: data["tokens"] for key, data in values["data"].items()}
    sampling = {"samples": SAMPLES, "seeds": values["evaluation"]["reference"]["seeds"][:SEEDS]}
    values |= {"suite": f"{values['suite']}-dry-run", "compute": {"device": "cpu", "threads": 1}}
    values["replicates"] = 1  # the others are the same with other seeds
    values["run"] = {"workers": min(values["run"]["workers"], 2), "shard": 64, "latent_shard": 64, "batch": SAMPLES}
    evaluation = values["evaluation"]
    evaluation |= {"time_draws": 2, "sequences": SEQUENCES, "batch": SEQUENCES}
    evaluation["reference"] |= sampling
    sizes = {"sequences": SEQUENCES, "samples": SAMPLES, "seeds": len(sampling["seeds"])}
    for data in values["data"].values():
        data["tokens"] = min(data["tokens"], TOKENS)
        find("ladd.tasks", Task, data["kind"], "kind").small(data, evaluation, sizes)
    for encoder in values["encoders"].values():
        encoder |= {"batch": 16, "fit": 64}
        for view in encoder["views"].values():
            _shrink_latents(view, lengths[encoder["data"]])
    for latents in values["latents"].values():
        _shrink_latents(latents, lengths[latents["data"]])
        latents["quantise_after"] = min(latents["quantise_after"], 2)
    for codebook in values["codebooks"].values():
        codebook |= {"codebook": min(codebook["codebook"], CODES), "steps": 4, "batch": 16}
    for trained in (each for block in TRAINED for each in values[block].values()):
        _shrink_training(trained)
    for sweep in values["sweeps"].values():
        _shrink_sweep(sweep, values, sampling)
    return values, substitutions


def _replace_assets(values: Values, offline: Values) -> Iterator[Substitution]:
    """Replace every asset of the hub by the offline one of the same role."""
    found: list[tuple[str, Values, Values]] = []
    for key, data in values["data"].items():
        task = find("ladd.tasks", Task, data["kind"], "kind")
        for place, block, stand_in in task.stand_ins(data, values["evaluation"], offline):
            found.append((place.replace("data.", f"data.{key}.", 1), block, stand_in))
    encoder = next(iter(offline["encoders"].values()))
    stand_in = {name: encoder[name] for name in ("asset", "folder")}
    found += [(f"encoders.{key}", block, stand_in) for key, block in values["encoders"].items()]
    for place, block, stand_in in found:
        asset = block.get("asset")
        if asset is not None and asset["source"] == "hub":
            yield Substitution(place, f"{asset['name']} {asset.get('file') or ''}".strip(), stand_in["asset"]["name"])
            block |= stand_in


def _shrink_latents(latents: Values, tokens: int) -> None:
    """L keeps its ratio to N, as far as it can."""
    latents["length"] = max(1, latents["length"] * min(tokens, TOKENS) // tokens)
    latents["width"] = min(latents["width"], WIDTH)
    if latents.get("codebook"):
        latents["codebook"] = min(latents["codebook"], CODES)


def _shrink_training(trained: Values) -> None:
    """Every network in a block, and its training."""
    for network in (trained[name] for name in ("network", "encoder", "denoiser") if name in trained):
        network |= NETWORK | {"layers": min(network["layers"], NETWORK["layers"])}
    trained["training"] |= TRAINING | {"warmup": min(trained["training"]["warmup"], 1)}


def _shrink_sweep(sweep: Values, values: Values, sampling: Values) -> None:
    """Two budgets, or the one of a model from left to right; one temperature beside the sweep's own."""
    model = {**values["baselines"], **values["models"]}[sweep["model"]]
    system = find("ladd.systems", System, model["family"], "family")
    steps = [values["data"][sweep["data"]]["tokens"]] if system.left_to_right else [1, 2]
    sweep |= sampling | {"token_steps": steps, "latent_steps": min(sweep["latent_steps"], 2)}
    if sweep["frontier"] is not None:
        others = [each for each in sweep["frontier"]["temperatures"] if each != sweep["temperature"]]
        temperatures = others[:1] or [sweep["temperature"] / 2]
        sweep["frontier"] = {"token_steps": steps[-1:], "temperatures": temperatures}


def named_assets(values: Any) -> Iterator[Values]:
    """Every asset block below some values of params.yaml."""
    if isinstance(values, dict) and "source" in values:
        yield values
    elif isinstance(values, dict):
        for each in values.values():
            yield from named_assets(each)


def rehearse(suite: Path, *, keep: bool) -> None:
    """Run every stage of a suite, small, in .work/dry-run/SUITE of the repository, and print times and table.

    Args:
        keep: the folder, which otherwise goes when all went well.
    Raises:
        LaddError: the suite is wrong, an offline asset cannot be had, or a stage failed; nothing is removed then.
    """
    values = read_values(suite / "params.yaml")
    repository = (suite / values["root"]).resolve()
    offline = read_values(repository / OFFLINE_SUITE / "params.yaml")
    with suite_folder(suite):
        tiny, substitutions = shrink(values, offline)
    modules = [path.resolve() for path in suite.glob(MODULES)]
    folder = repository / WORK / "dry-run" / values["suite"]
    with contextlib.chdir(repository), stage_lock(f"dry-run-{values['suite']}"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tiny["root"] = os.path.relpath(repository, folder)
        (folder / "params.yaml").write_text(write_yaml(tiny))
        for path in (repository / "dvc.yaml", *modules):
            shutil.copy(path, folder)
        print(describe(substitutions), flush=True)
        for asset in named_assets(tiny):
            fetch_asset(AssetConfig.model_validate(asset), store_folder(repository), repository)
        stages = list(stages_in_order(tiny))
        own = f"sqlite:///{folder}/.mlflow/mlflow.db"  # tracked runs never go to the user's database
        with contextlib.chdir(folder), variable("MLFLOW_TRACKING_URI", own):
            run_stages(stages)
        print((folder / "results" / "compare.txt").read_text())
        if keep:
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder)


def describe(substitutions: list[Substitution]) -> str:
    """Table of the stand-ins."""
    if not substitutions:
        return "No asset of the hub is named: the suite keeps its own."
    widths = [max(len(row[column]) for row in substitutions) for column in (0, 1)]
    rows = [f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}" for row in substitutions]
    return "\n".join(["Stand-ins for assets of the hub:", *rows])


def run_stages(stages: list[tuple[str, str | None]]) -> None:
    """Run stages in this process, in the working directory, a line each; what they print goes to a file."""
    for number, (name, key) in enumerate(stages, 1):
        title, log, start = name if key is None else f"{name}@{key}", Path("log.txt"), time.perf_counter()
        with log.open("a") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
            print(f"--- {title}", flush=True)
            try:
                run_here(name, key)
            except Exception as error:
                error.add_note(f"{title} failed; what it printed is in {log.resolve()}")
                raise
        print(f"{number:>3}/{len(stages)} {title:<32} {time.perf_counter() - start:6.1f} s", flush=True)


def run_here(name: str, key: str | None) -> None:
    """One stage, in this process and in the working directory."""
    execute(name, key, import_module(f"ladd.stages.{name}").main)


def main() -> None:
    """Entry point of ``python -m ladd.dry_run``."""
    parser = argparse.ArgumentParser(prog="python -m ladd.dry_run", description=__doc__.splitlines()[0])
    parser.add_argument("suite", type=Path, help="folder of the suite, such as suites/lm1b")
    parser.add_argument("--keep", action="store_true", help="keep its folder, .work/dry-run/SUITE, when all went well")
    arguments = parser.parse_args()
    start = time.perf_counter()
    try:
        rehearse(arguments.suite, keep=arguments.keep)
    except Exception as error:
        if (problem := error if isinstance(error, LaddError) else storage_error(error)) is None:
            raise
        sys.exit("\n".join([str(problem), *getattr(error, "__notes__", [])]))
    print(f"dry run of {arguments.suite}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
