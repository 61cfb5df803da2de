"""A checkout whose stages are shell commands: what the flows do, without training anything."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.stages.tiny import REPOSITORY, commit, git, tiny_values, write_params


def make_checkout(folder: Path, stages: Mapping[str, Mapping[str, Any]], *, code: bool = False) -> Path:
    """A repository with a valid params.yaml and these stages.

    Args:
        folder: to make.
        stages: of dvc.yaml.
        code: copy ladd and flows too, for processes that run in it.
    """
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    (folder / ".dvcignore").write_text(".prefect\n.work\n.mlflow\n")
    (folder / ".gitignore").write_text(".prefect\n.work\n.mlflow\n__pycache__\n*.out\n/.dvc/cache\n/.dvc/tmp\n")
    write_params(folder, tiny_values())
    write_stages(folder, stages)
    for package in ("ladd", "flows") if code else ():
        shutil.copytree(REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def write_stages(folder: Path, stages: Mapping[str, Mapping[str, Any]]) -> None:
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": dict(stages)}, sort_keys=False))


def stage(command: str, *deps: str, out: str, params: list[str] | None = None) -> dict[str, Any]:
    """A stage that runs a shell command; it also notes each run in runs.txt, and writes ``out`` last."""
    noted = f"echo {out} >> runs.txt && {command} && cat params.yaml {' '.join(deps)} | cksum > {out}"
    return {"cmd": noted, "deps": list(deps), "outs": [out]} | ({"params": params} if params else {})


def runs(folder: Path) -> list[str]:
    """Outputs of the stages whose command ran, in order."""
    path = folder / "runs.txt"
    return path.read_text().split() if path.exists() else []
