"""Through DVC, in repositories of their own: what runs again, equal bytes, and kills at the worst moments."""

from __future__ import annotations

import copy
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run

from ladd.files import file_hash
from ladd.yaml_files import read_yaml
from tests.stages.tiny import commit, copy_dvc, environment, git, make_suite, tiny_values, write_params

pytestmark = pytest.mark.slow

STAGE1, STAGE2 = "stage1@di", "stage2@di-ladd"
LONG = {"steps": 400, "validate_every": 10, "checkpoint_every": 10}
PATIENCE = 600.0  # seconds


def small_values() -> dict:
    """Both kinds of latents, a second codebook, one baseline; one sweep each."""
    values = tiny_values()
    for block, kept in (("baselines", ["mdlm"]), ("sweeps", ["mdlm", "di-seq", "co-seq"])):
        values[block] = {key: values[block][key] for key in kept}
    values["latents"]["di-k4"] = copy.deepcopy(values["latents"]["di"]) | {"codebook": 4}
    values["models"]["di-ladd-k4"] = copy.deepcopy(values["models"]["di-ladd"]) | {"latents": "di-k4"}
    values["sweeps"]["di-k4-seq"] = copy.deepcopy(values["sweeps"]["di-seq"]) | {"model": "di-ladd-k4"}
    return values | {"root": "."}


def long_values() -> dict:
    """Trainings that last long enough to be killed."""
    values = small_values()
    for config in (values["latents"]["di"], values["models"]["di-ladd"]):
        config["training"] |= LONG
    return values


def make_repository(folder: Path, values: dict) -> Path:
    make_suite(folder, folder, values)
    copy_dvc(folder)
    commit(folder)
    return folder


def clone(repository: Path, folder: Path) -> Path:
    """The same commit, without anything that a stage wrote."""
    git(repository, "clone", "--quiet", ".", str(folder))
    return folder


def dvc_environment(folder: Path) -> dict[str, str]:
    return environment() | {"DVC_SITE_CACHE_DIR": str(folder / ".dvc" / "tmp" / "site")}


class Repro:
    """`dvc repro` in a process group of its own, its output in a file."""

    def __init__(self, folder: Path, *targets: str):
        self.folder, self.log = folder, folder / ".dvc" / "tmp" / f"repro-{time.monotonic_ns()}.log"
        self.log.parent.mkdir(exist_ok=True)
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dvc", "repro", *targets],
                cwd=folder,
                env=dvc_environment(folder),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text()

    @property
    def stages(self) -> list[str]:
        """Stages that ran, in order, but for the plan, which runs each time."""
        return [name for name in re.findall(r"Running stage '([^']+)'", self.output) if name != "plan"]

    def finish(self) -> Repro:
        assert self.process.wait(timeout=2 * PATIENCE) == 0, self.output
        return self

    def wait_for_checkpoint(self, stage: str) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.output
            return any((self.folder / ".work" / stage).glob("*/step-*"))

        wait_until(there)

    def kill_group(self, stage: str) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: is_free(self.folder, stage))

    def kill_dvc_alone(self) -> None:
        self.process.kill()
        self.process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def is_free(folder: Path, stage: str) -> bool:
    with (folder / ".work" / f"{stage}.lock").open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def runs_of(folder: Path, stage: str) -> tuple[MlflowClient, list[Run]]:
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/.mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    return client, client.search_runs([experiment.experiment_id], f"tags.`dvc.stage` = '{stage}'")


def files_of(folder: Path, *names: str) -> dict[str, str]:
    paths = [path for name in names for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): file_hash(path) for path in paths}


def assert_one_clean_run(folder: Path, stage: str) -> str:
    """One finished run, whose curves hold every step of the history once; returns its id."""
    client, runs = runs_of(folder, stage)
    assert [run.info.status for run in runs] == ["FINISHED"]
    points = client.get_metric_history(runs[0].info.run_id, "validation/loss")
    assert [point.step for point in points] == list(range(0, LONG["steps"] + 1, LONG["validate_every"]))
    return runs[0].info.run_id


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A repository in which everything has run; copy it to change it."""
    folder = make_repository(tmp_path_factory.mktemp("finished") / "repository", small_values())
    Repro(folder).finish()
    return folder


@pytest.fixture
def copied(finished, tmp_path) -> Path:
    return shutil.copytree(finished, tmp_path / "repository", symlinks=True)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    """Long trainings that nobody disturbed."""
    folder = make_repository(tmp_path_factory.mktemp("uninterrupted") / "repository", long_values())
    Repro(folder, STAGE2).finish()
    return folder


def test_second_repro_runs_nothing(finished):
    assert Repro(finished).finish().stages == []


def test_another_codebook_runs_what_depends_on_it_and_nothing_else(copied):
    values = yaml.safe_load((copied / "params.yaml").read_text())
    values["latents"]["di-k4"]["codebook"] = 5
    write_params(copied, values)
    expected = ["measure@di-k4-seq", "sample@di-k4-seq", "stage1@di-k4", "stage2@di-ladd-k4"]
    assert sorted(Repro(copied).finish().stages) == ["bound@di-ladd-k4", "compare", *expected]


def test_other_step_budgets_train_nothing(copied):
    values = yaml.safe_load((copied / "params.yaml").read_text())
    values["sweeps"]["di-seq"]["token_steps"] = [1, 3]
    write_params(copied, values)
    # Bounds know of the budgets, but those of other sweeps are the same as before.
    ran = [stage for stage in Repro(copied).finish().stages if "bound" not in stage]
    assert sorted(ran) == ["compare", "measure@di-seq", "sample@di-seq"]


def test_parameters_that_are_put_back_run_nothing(tmp_path):
    values = small_values() | {"models": {}}
    values |= {block: {key: values[block][key]} for block, key in (("latents", "di"), ("sweeps", "mdlm"))}
    folder = make_repository(tmp_path / "repository", values)
    Repro(folder).finish()
    before, changed = files_of(folder, "results"), copy.deepcopy(values)
    changed["sweeps"]["mdlm"]["temperature"] = 0.9
    changed["evaluation"]["directions"] += 1
    write_params(folder, changed)
    expected = ["bound@ar", "bound@mdlm", "compare", "measure@mdlm", "reference@sawtooth"]
    assert sorted(Repro(folder).finish().stages) == [*expected, "sample@mdlm"]
    assert files_of(folder, "results") != before
    write_params(folder, values)
    assert Repro(folder).finish().stages == []
    assert files_of(folder, "results") == before


def test_new_store_gets_the_runs_that_the_stages_made(copied):
    made = described_runs(copied)
    shutil.rmtree(copied / ".mlflow")
    command = [sys.executable, "-m", "ladd.cli", "track", "sync"]
    process = subprocess.run(command, cwd=copied, env=dvc_environment(copied), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert [line.split()[1] for line in process.stdout.splitlines()] == [*(len(made) - 1) * ["made"], "shown"]
    assert described_runs(copied) == made


def test_replay_without_a_cache_computes_the_same_bytes(copied):
    run = runs_of(copied, STAGE2)[1][0].info.run_id
    shutil.rmtree(copied / ".dvc" / "cache")
    command = [sys.executable, "-m", "ladd.cli", "replay", run, "--go"]
    process = subprocess.run(command, cwd=copied, env=dvc_environment(copied), capture_output=True, text=True)
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"Running stage '{STAGE2}'" in process.stdout
    assert process.stdout.splitlines()[-2:] == [
        "artifacts/models/di-ladd: equal",
        "results/history/stage2-di-ladd.csv: equal",
    ]
    client, runs = runs_of(copied, STAGE2)
    assert [found.info.run_id for found in runs] == [run]  # the replay's own are in another experiment
    assert client.get_experiment_by_name(f"tiny@replay-{run[:8]}") is not None


def described_runs(folder: Path) -> dict[str, dict]:
    """What runs say, by stage, without what every store and moment gives anew; "" is the run of the suite."""
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/.mlflow/mlflow.db")
    [experiment] = [found for found in client.search_experiments() if found.name == "tiny"]
    described = {}
    for run in client.search_runs([experiment.experiment_id]):
        own = ("mlflow.parentRunId", "mlflow.modelVersions", "git.dirty", "ladd.process", "ladd.restored")
        models = client.search_logged_models([experiment.experiment_id], f"source_run_id = '{run.info.run_id}'")
        curves = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
        described[run.data.tags.get("dvc.stage", "")] = {
            "name": run.info.run_name,
            "tags": {key: value for key, value in run.data.tags.items() if key not in own},
            "parameters": run.data.params,
            "curves": {key: [(point.step, point.value) for point in curve] for key, curve in curves.items()},
            "checkpoints": sorted((model.name, model.tags["path"], model.tags["sha256"]) for model in models),
            "files": sorted(file.path for file in client.list_artifacts(run.info.run_id)),
        }
    return described


def test_two_runs_from_scratch_give_equal_bytes_but_for_the_clock(finished, tmp_path):
    again = clone(finished, tmp_path / "elsewhere")
    Repro(again).finish()
    files, others = (files_of(folder, "artifacts", "results") for folder in (finished, again))
    assert {
        "results/compare.csv",
        "results/samples/co-seq.json",
        "results/evaluate/reference-sawtooth.csv",
        "artifacts/models/co-ladd/weights.safetensors",
        "artifacts/samples/co-seq/steps-2-temperature-1-seed-0.npy",
    } <= files.keys()
    assert files.keys() == others.keys()
    timed = {path for path in files if files[path] != others[path]}
    assert timed
    assert {path for path in timed if not path.startswith("results/seconds/")} == set()
    assert (again / "dvc.lock").read_bytes() == (finished / "dvc.lock").read_bytes()
    assert git(again, "status", "--porcelain") == git(finished, "status", "--porcelain")


def test_killed_trainings_resume_to_equal_bytes_in_the_same_run(uninterrupted, tmp_path):
    folder = clone(uninterrupted, tmp_path / "killed")
    started = []
    for stage in (STAGE1, STAGE2):
        repro = Repro(folder, STAGE2)
        repro.wait_for_checkpoint(stage)
        repro.kill_group(stage)
        started.append(runs_of(folder, stage)[1][0].info.run_id)
        assert not list((folder / "artifacts").glob(f"*/{stage.split('@')[1]}/weights.safetensors"))
        if stage == STAGE2:
            assert_resumed(repro)  # Stage 1, that the attempt before left unfinished
    last = Repro(folder, STAGE2).finish()
    assert last.stages == [STAGE2]
    assert_resumed(last)
    assert [assert_one_clean_run(folder, stage) for stage in (STAGE1, STAGE2)] == started
    assert files_of(folder, "artifacts", "results") == files_of(uninterrupted, "artifacts", "results")


def assert_resumed(repro: Repro) -> None:
    first = re.search(rf"(\d+)/{LONG['steps']} ", repro.output)
    assert int(first[1]) >= LONG["checkpoint_every"], repro.output


def test_orphan_of_a_killed_dvc_is_never_joined_by_a_second_trainer(uninterrupted, tmp_path):
    folder = clone(uninterrupted, tmp_path / "orphan")
    first = Repro(folder, STAGE1)
    first.wait_for_checkpoint(STAGE1)
    first.kill_dvc_alone()
    orphan = int((folder / ".work" / f"{STAGE1}.lock").read_text())
    os.kill(orphan, signal.SIGSTOP)  # so that it lives on while the next one starts
    try:
        second = Repro(folder, STAGE1)
        assert second.process.wait(timeout=PATIENCE) != 0
        assert f"{STAGE1} is already running (process {orphan})" in second.output
    finally:
        os.kill(orphan, signal.SIGCONT)
    wait_until(lambda: is_free(folder, STAGE1))
    assert Repro(folder, STAGE1).finish().stages == [STAGE1]
    assert_one_clean_run(folder, STAGE1)
    weights = Path("artifacts/latents/di/weights.safetensors")
    assert (folder / weights).read_bytes() == (uninterrupted / weights).read_bytes()


def test_edit_in_mid_training_is_named_and_recorded_nowhere_and_goes_on_when_it_is_put_back(uninterrupted, tmp_path):
    folder = clone(uninterrupted, tmp_path / "edited")
    code, params = folder / "ladd/diffusion/masked.py", (folder / "params.yaml").read_text()
    repro = Repro(folder, STAGE1)
    repro.wait_for_checkpoint(STAGE1)
    values = long_values()
    values["latents"]["di"]["training"]["learning_rate"] = 0.5
    write_params(folder, values)
    source = code.read_text()
    code.write_text(source + "EDITED = True\n")
    assert repro.process.wait(timeout=PATIENCE) != 0
    assert f"{STAGE1}: what it depends on was edited while it ran:" in repro.output
    assert re.search(r"^  training\.learning_rate: [0-9.e-]+ -> 0\.5$", repro.output, re.MULTILINE)
    assert "  ladd/diffusion/masked.py: edited\n" in repro.output
    assert "Traceback" not in repro.output
    assert STAGE1 not in read_yaml(folder / "dvc.lock")["stages"]
    assert not (folder / "artifacts/latents/di").exists()
    assert [run.info.status for run in runs_of(folder, STAGE1)[1]] == ["FAILED"]

    (folder / "params.yaml").write_text(params)
    code.write_text(source)
    again = Repro(folder, STAGE1).finish()
    assert again.stages == [STAGE1]
    assert int(re.search(rf"(\d+)/{LONG['steps']} ", again.output)[1]) == LONG["steps"]
    assert_one_clean_run(folder, STAGE1)
    weights = Path("artifacts/latents/di/weights.safetensors")
    assert (folder / weights).read_bytes() == (uninterrupted / weights).read_bytes()
    assert Repro(folder, STAGE1).finish().stages == []
