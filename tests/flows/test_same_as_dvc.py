"""After a change of one codebook size, the flow does what `dvc repro` does: same stages, same lock, same runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient

from tests.flows.site import own_environment
from tests.stages.test_reproducibility import (
    Repro,
    dvc_environment,
    make_repository,
    small_values,
)
from tests.stages.tiny import REPOSITORY, write_params

CHANGED = ["stage1@di-k4", "stage2@di-ladd-k4", "sample@di-k4-seq", "bound@di-ladd-k4", "measure@di-k4-seq", "compare"]


def other_codebook(folder: Path) -> None:
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["latents"]["di-k4"]["codebook"] = 5
    write_params(folder, values)


def run_flow(folder: Path) -> str:
    environment = dvc_environment(folder) | own_environment()
    command = [sys.executable, "-m", "flows.pipeline"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def runs_by_stage(folder: Path) -> list[tuple[str, str]]:
    """Stage and state of every run; the database holds absolute paths, but a copy of it can be read."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/.mlflow/mlflow.db")
    tags = [run.data.tags for run in client.search_runs([client.get_experiment_by_name("tiny").experiment_id])]
    return sorted((each.get("dvc.stage", ""), each.get("ladd.state", "")) for each in tags)


@pytest.mark.slow
def test_another_codebook_gives_the_same_stages_lock_and_runs(tmp_path):
    by_dvc = make_repository(tmp_path / "dvc", small_values())
    shutil.copytree(REPOSITORY / "flows", by_dvc / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    Repro(by_dvc).finish()
    by_flow = shutil.copytree(by_dvc, tmp_path / "flow", symlinks=True)
    before = runs_by_stage(by_dvc)
    for folder in (by_dvc, by_flow):
        other_codebook(folder)
    assert sorted(Repro(by_dvc).finish().stages) == sorted(CHANGED)
    printed = run_flow(by_flow)
    assert all(f"Running stage '{stage}'" in printed for stage in CHANGED)
    assert printed.count("Running stage '") == len(CHANGED) + 1  # and the plan
    assert (by_flow / "dvc.lock").read_bytes() == (by_dvc / "dvc.lock").read_bytes()
    assert runs_by_stage(by_flow) == runs_by_stage(by_dvc)
    assert len(runs_by_stage(by_dvc)) == len(before) + 3  # the three tracked stages that ran
    assert run_flow(by_flow).count("Running stage '") == 0
