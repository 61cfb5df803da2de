"""A suite that trains in seconds, in a folder of its own, and what runs its stages."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from ladd.config import load_suite
from ladd.launch.overrides import read_values
from ladd.stages.plan import renew_plan
from ladd.stages.planned import stages_in_order
from ladd.stages.runtime import execute

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLES, SEEDS, TOKENS = 32, [0, 1], 16
TRAINING = {"steps": 12, "batch": 16, "warmup": 2, "validate_every": 3, "checkpoint_every": 6}

# A module of a suite's folder, whose classes no other process can import by name.
OWN_SYSTEM = """
from typing import Literal

from ladd.systems.mdlm import Mdlm, MdlmSettings


class OwnSettings(MdlmSettings):
    family: Literal["own"]


class Own(Mdlm):
    name, Settings = "own", OwnSettings
"""


def tiny_values() -> dict:
    """The default suite with every size cut down; keys, families and schedules stay."""
    values = read_values(REPOSITORY / "params.yaml")
    values |= {"suite": "tiny", "replicates": 1, "compute": {"device": "cpu", "threads": 1}}
    values["run"] |= {"batch": 16}
    for data in values["data"].values():
        data |= {"tokens": TOKENS, "train": 512, "validation": 64, "reference": 2 * SAMPLES * len(SEEDS)}
    for latents in values["latents"].values():
        latents["quantise_after"] = 3 if latents["kind"] == "discrete" else 0
        latents["training"] |= TRAINING
    for model in (each for block in ("priors", "baselines", "models") for each in values[block].values()):
        model["training"] |= TRAINING
    sampling = {"samples": SAMPLES, "seeds": SEEDS}
    for sweep in values["sweeps"].values():
        sweep |= sampling | {"token_steps": [TOKENS] if sweep["model"] == "ar" else [1, 2]}
        sweep["latent_steps"] = min(sweep["latent_steps"], 3)
    values["evaluation"] = {
        "kind": "sawtooth",
        "directions": 10,
        "time_draws": 2,
        "sequences": 64,
        "grid": 64,
        "batch": 32,
        "reference": sampling | {"token_steps": [1, 2], "batch": 16},
    }
    return values


def write_params(folder: Path, values: dict) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def make_suite(
    repository: Path, folder: Path, values: dict | None = None, modules: Mapping[str, str] | None = None
) -> Path:
    """Copy code and pipeline to ``repository``, write the suite and its modules in ``folder`` of it, and commit."""
    copy_code(repository)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(REPOSITORY / "dvc.yaml", folder)
    write_params(folder, tiny_values() | {"root": os.path.relpath(repository, folder)} | (values or {}))
    for name, text in (modules or {}).items():
        (folder / name).write_text(text)
    begin(repository, folder)
    return folder


def link_suite(repository: Path, folder: Path) -> None:
    """Make a repository around the folder of a suite that is there, on the code of this checkout, and commit."""
    shutil.copy(REPOSITORY / "dvc.yaml", folder)
    copy_dvc(repository)
    (repository / "ladd").symlink_to(REPOSITORY / "ladd")
    begin(repository, folder)


def begin(repository: Path, folder: Path) -> None:
    """The first commit of a repository with a suite."""
    renew_plan(folder)  # DVC reads it before any stage runs
    (repository / ".gitignore").write_text("__pycache__/\n.work/\n.mlflow/\nartifacts/\nresults/\n")
    git(repository, "init", "--quiet")
    commit(repository)


def copy_code(repository: Path) -> None:
    shutil.copytree(REPOSITORY / "ladd", repository / "ladd", ignore=shutil.ignore_patterns("__pycache__", ".*"))


def copy_dvc(repository: Path) -> None:
    """The settings of DVC."""
    (repository / ".dvc").mkdir(exist_ok=True)
    for name in (".dvc/config", ".dvc/.gitignore", ".dvcignore"):
        shutil.copy(REPOSITORY / name, repository / name)


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    return subprocess.run([*command, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "suite")


def environment() -> dict[str, str]:
    """For stages and DVC in processes of their own: this interpreter, one thread, the default tracking database."""
    kept = {name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "PYTHONPATH")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PATH": path, "OMP_NUM_THREADS": "1", "DVC_NO_ANALYTICS": "1"}


def stage_command(name: str, *keys: str) -> list[str]:
    return [sys.executable, "-m", f"ladd.stages.{name}", *keys]


def run_here(name: str, key: str | None) -> None:
    """Run a stage in this process, in the working directory."""
    execute(name, key, importlib.import_module(f"ladd.stages.{name}").main)


def run_all() -> None:
    """Run every stage of the suite in the working directory, in this process."""
    for name, key in stages_in_order(vars(load_suite())):
        run_here(name, key)
