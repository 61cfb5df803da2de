"""Stages in processes of their own, with Ray below them, to be disturbed."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import yaml
from mlflow import MlflowClient
from safetensors.torch import load_file

from tests.builders import executor
from tests.stages.tiny import environment, stage_command, write_params

PATIENCE = 1800.0  # seconds; Ray starts in ten, and in minutes where the machine is busy


def change(folder: Path, block: str, key: str, **ways) -> None:
    """Give a training an executor."""
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values[block][key]["training"]["executor"] = executor(**ways)
    write_params(folder, values)


class Attempt:
    """A stage in a process of its own, its output in a file."""

    def __init__(self, folder: Path, *stage: str, **settings: str):
        self.log = folder / f".work/attempt-{time.monotonic_ns()}.log"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                stage_command(*stage), cwd=folder, env=environment() | settings, stdout=log, stderr=subprocess.STDOUT
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    def finish(self, code: int = 0) -> str:
        """Wait for the end; the output."""
        assert self.process.wait(PATIENCE) == code, self.output
        return self.output

    def part(self, *names: str) -> list[psutil.Process]:
        """Processes under the stage with such a word in their command line."""
        return below(self.process.pid, *names)


def below(pid: int, *names: str) -> list[psutil.Process]:
    """Processes under another with such a word in their command line."""
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    return [child for child in children if any(name in command_of(child) for name in names)]


def command_of(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def run(folder: Path, *stage: str, code: int = 0, **settings: str) -> str:
    return Attempt(folder, *stage, **settings).finish(code)


def weights_of(folder: Path, name: str) -> dict:
    return load_file(folder / name / "weights.safetensors")


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def tracked_steps(folder: Path, keep: int, metric: str = "validation/loss") -> tuple[str, list[int]]:
    """Status and steps of the run of the training with this `keep`, of which there is one."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/.mlflow/mlflow.db")
    [experiment] = [each for each in client.search_experiments() if each.name == "tiny"]
    [tracked] = client.search_runs(
        [experiment.experiment_id], f"params.`model.training.keep` = '{keep}' and tags.role = 'model'"
    )
    points = client.get_metric_history(tracked.info.run_id, metric)
    return tracked.info.status, [point.step for point in points]
