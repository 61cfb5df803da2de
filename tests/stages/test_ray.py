"""Stages on Ray's workers: the numbers of one process, and nothing lost when anything of it is killed."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from mlflow import MlflowClient
from safetensors.torch import load_file

from ladd.files import file_hash
from ladd.stages.recorded import read_history
from ladd.stages.runtime import EXIT_TEMPORARY
from tests.builders import executor
from tests.stages.tiny import environment, make_suite, stage_command, tiny_values, write_params

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

KEY, STEPS, EVERY = "mdlm", 400, 20
PATIENCE = 300.0  # seconds
KILLS = 20


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    """A suite with its data, a training of a few hundred steps, and samples of an untrained length."""
    folder = tmp_path_factory.mktemp("ray") / "suite"
    values = tiny_values()
    values["baselines"][KEY]["training"] |= {"steps": STEPS, "validate_every": EVERY, "checkpoint_every": EVERY}
    make_suite(folder, folder, values | {"root": "."})
    run(folder, "data", "sawtooth")
    return folder


def change(folder: Path, block: str, key: str, **ways) -> None:
    """Give a training an executor."""
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values[block][key]["training"]["executor"] = executor(**ways)
    write_params(folder, values)


def start(folder: Path, *stage: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        stage_command(*stage),
        cwd=folder,
        env=environment() | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(folder: Path, *stage: str, code: int = 0, **settings: str) -> str:
    process = start(folder, *stage, **settings)
    output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == code, output
    return output


def weights_of(folder: Path, name: str = f"artifacts/models/{KEY}") -> dict:
    return load_file(folder / name / "weights.safetensors")


@pytest.fixture(scope="module")
def inline(suite) -> dict:
    """Weights and curves of one process."""
    change(suite, "baselines", KEY)
    run(suite, "baseline", KEY)
    return {"weights": weights_of(suite), "history": read_history(suite / f"results/history/baseline-{KEY}.csv")}


@pytest.fixture(scope="module")
def two(suite, inline) -> dict:
    """Weights of two workers that nobody disturbed."""
    change(suite, "baselines", KEY, kind="ray", workers=2)
    run(suite, "baseline", KEY)
    return {"weights": weights_of(suite), "history": read_history(suite / f"results/history/baseline-{KEY}.csv")}


def test_one_worker_ends_with_the_weights_of_the_inline_path(suite, inline):
    change(suite, "baselines", KEY, kind="ray")
    run(suite, "baseline", KEY)
    found = weights_of(suite)
    assert found.keys() == inline["weights"].keys()
    assert all(value.equal(inline["weights"][name]) for name, value in found.items())


def test_two_workers_have_the_curves_of_the_inline_path(inline, two):
    for found, expected in zip(two["history"], inline["history"], strict=True):
        assert found == pytest.approx(expected, abs=1e-3, rel=1e-3)


def tree(process: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def part(process: subprocess.Popen[str], *names: str) -> list[psutil.Process]:
    """Processes under the stage whose title begins so; one worker is RayTrainWorker."""

    def title(child: psutil.Process) -> str:
        try:
            return " ".join(child.cmdline())
        except psutil.Error:
            return ""

    return [child for child in tree(process) if any(name in title(child) for name in names)]


VICTIMS: dict[str, Callable[[subprocess.Popen[str]], list]] = {
    "worker": lambda process: part(process, "RayTrainWorker")[:1],
    "head": lambda process: part(process, "gcs_server"),
    "node": lambda process: part(process, "raylet/raylet"),
    "driver": lambda process: [psutil.Process(process.pid)],
}


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / ".work").glob("baseline@*/*/step-*"))


def disturbed(folder: Path, seed: int) -> Path:
    """Start the folder's training anew, as another experiment: another seed would be other numbers."""
    change(folder, "baselines", KEY, kind="ray", workers=2)
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["baselines"][KEY]["training"]["keep"] = 50 + seed
    write_params(folder, values)
    return folder


def assert_nothing_lost(folder: Path, two: dict) -> None:
    found = weights_of(folder)
    assert all(value.equal(two["weights"][name]) for name, value in found.items())
    assert read_history(folder / f"results/history/baseline-{KEY}.csv") == two["history"]
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/.mlflow/mlflow.db")
    [experiment] = [each for each in client.search_experiments() if each.name == "tiny"]
    keep = yaml.safe_load((folder / "params.yaml").read_text())["baselines"][KEY]["training"]["keep"]
    [tracked] = client.search_runs(
        [experiment.experiment_id], f"params.`model.training.keep` = '{keep}' and tags.role = 'model'"
    )
    points = client.get_metric_history(tracked.info.run_id, "validation/loss")
    assert [point.step for point in points] == list(range(0, STEPS + 1, EVERY))
    assert tracked.info.status == "FINISHED"


@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_part_costs_nothing(suite, two, victim):
    folder = disturbed(suite, list(VICTIMS).index(victim))
    process = start(folder, "baseline", KEY)
    wait_for(lambda: checkpoints(folder) and VICTIMS[victim](process))
    for each in VICTIMS[victim](process):
        each.kill()
    output = process.communicate(timeout=PATIENCE)[0]
    if victim == "worker":
        assert process.returncode == 0, output
        assert "start again from step" in output
    else:
        assert process.returncode != 0
        if victim != "driver":
            assert "Run the stage again to go on from the checkpoint" in output
            assert "Traceback" not in output.splitlines()[-1]
        run(folder, "baseline", KEY)
    assert_nothing_lost(folder, two)


def test_twenty_kills_at_random_moments_lose_nothing(suite, two):
    folder, chance = disturbed(suite, 10), random.Random(0)
    kills, process = 0, None
    for victim in moments(chance):
        if process is None or process.poll() is not None:
            assert process is None or process.returncode != 0 or kills == KILLS, "it ended before all kills"
            process = start(folder, "baseline", KEY)
        time.sleep(chance.uniform(0.0, 15.0))
        targets = VICTIMS[victim](process) or VICTIMS["driver"](process)
        for each in targets:
            each.kill()
        kills += 1
    if process.wait(PATIENCE) != 0:
        run(folder, "baseline", KEY)
    assert kills == KILLS
    assert_nothing_lost(folder, two)


def moments(chance: random.Random) -> Iterator[str]:
    for _ in range(KILLS):
        yield chance.choice(list(VICTIMS))


def test_preempted_workers_save_and_go_on(suite, two):
    folder = disturbed(suite, 11)
    process = start(folder, "baseline", KEY)
    wait_for(lambda: checkpoints(folder))
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=PATIENCE)[0]
    assert process.returncode == EXIT_TEMPORARY, output
    assert "training was asked to end: step" in output
    run(folder, "baseline", KEY)
    assert_nothing_lost(folder, two)


def test_codes_of_two_workers_are_a_whole_output(suite):
    change(suite, "latents", "di", kind="ray", workers=2)
    run(suite, "stage1", "di")
    assert (suite / "artifacts/latents/di/weights.safetensors").is_file()


def test_cluster_that_is_not_there_is_named(suite):
    change(suite, "baselines", KEY, kind="ray", workers=2)
    output = run(suite, "baseline", KEY, code=1, RAY_ADDRESS="127.0.0.1:1")
    assert "RAY_ADDRESS is 127.0.0.1:1, where nothing answers" in output.splitlines()[-1]


def test_shared_out_samples_have_the_same_bytes(suite, inline):
    change(suite, "baselines", KEY)
    if not (suite / f"artifacts/models/{KEY}").is_dir():
        run(suite, "baseline", KEY)
    run(suite, "sample", "mdlm")
    samples = suite / "artifacts/samples/mdlm"
    alone = {path.name: file_hash(path) for path in samples.iterdir()}
    run(suite, "sample", "mdlm", LADD_WORKERS="2")
    assert {path.name: file_hash(path) for path in samples.iterdir()} == alone
