"""Trainings on an MLflow server that is killed, stays away, or has two of them file into one run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from flows.ui import answers, free_port
from tests.flows.site import until
from tests.stages.tiny import copy_dvc, environment, make_suite, stage_command, tiny_values

STAGE = "baseline@mdlm"
RATE = 60  # steps per second that no machine takes more of, with a validation every second step
EVERY = 20  # steps between checkpoints


class Server:
    """An MLflow server with a store of its own.

    Attributes:
        uri: of it.
        settings: of processes that file there.
    """

    def __init__(self, folder: Path):
        folder.mkdir()
        self.folder, self.port = folder, free_port(0)
        self.uri = f"http://127.0.0.1:{self.port}"

    @contextmanager
    def up(self) -> Iterator[MlflowClient]:
        """Run the server, and kill it with all its processes."""
        store = f"sqlite:///{self.folder}/mlflow.db"
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--backend-store-uri", store]
        command += ["--artifacts-destination", f"{self.folder}/artifacts"]
        settings = environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self.folder / "log.txt").open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=settings, stdout=log, stderr=log, start_new_session=True
            )
        try:
            until(lambda: answers(f"{self.uri}/health"), "the start of MLflow")
            yield MlflowClient(tracking_uri=self.uri)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def server(tmp_path) -> Server:
    return Server(tmp_path / "store")


def small_suite(repository: Path, steps: int) -> Path:
    """A suite whose baseline trains for some steps, with its data."""
    values = tiny_values()["baselines"]
    values["mdlm"]["training"] |= {"steps": steps, "validate_every": 2, "checkpoint_every": EVERY}
    repository.mkdir(exist_ok=True)
    copy_dvc(repository)
    suite = make_suite(repository, repository / "suites/tiny", {"baselines": values})
    subprocess.run(stage_command("data", "sawtooth"), cwd=suite, env=settings(repository, None), check=True)
    return suite


def settings(repository: Path, server: Server | None) -> dict[str, str]:
    """Environment of a process in a repository."""
    return environment() | {"PYTHONPATH": str(repository)} | ({"MLFLOW_TRACKING_URI": server.uri} if server else {})


class Process:
    """A command in the folder of a suite; what it says goes to a file."""

    def __init__(self, suite: Path, server: Server, *command: str):
        self.log = suite.parents[2] / f"{suite.parents[1].name}-{len(list(suite.parents[2].iterdir()))}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=suite,
                env=settings(suite.parents[1], server),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def end(self, patience: float = 1800.0) -> str:
        """Wait until it ends well; what it said."""
        code = self.process.wait(patience)
        said = self.log.read_text()
        assert code == 0, said
        return said


def latest_step(suite: Path) -> int:
    return max((int(path.name[5:]) for path in (suite / ".work").glob(f"{STAGE}/*/step-*")), default=0)


def run_of_the_stage(client: MlflowClient) -> Run:
    experiment = client.get_experiment_by_name("tiny").experiment_id
    (run,) = client.search_runs([experiment], f"tags.`dvc.stage` = '{STAGE}'")
    return run


def check_points(client: MlflowClient, suite: Path) -> None:
    """Every point of the history and of the checkpoints is there once, and nothing else."""
    run = run_of_the_stage(client)
    assert run.info.status == "FINISHED"
    history = pl.read_csv(suite / "results/history/baseline-mdlm.csv", infer_schema_length=None)
    expected = {
        column: history.filter(pl.col(column).is_not_null())["step"].to_list() for column in history.columns[1:]
    }
    kept = sorted((suite / "artifacts/models/mdlm/checkpoints").iterdir())
    steps = [int(path.stem[5:]) for path in kept]
    expected |= {f"checkpoint/{column}": steps for column in expected if column.startswith("validation/")}
    found = {key: client.get_metric_history(run.info.run_id, key) for key in run.data.metrics}
    assert {key: sorted(point.step for point in curve) for key, curve in found.items()} == expected
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'")
    assert sorted(int(model.tags["step"]) for model in models) == steps


@pytest.mark.slow
def test_training_goes_on_while_the_server_is_away(server, tmp_path, pytestconfig):
    away = pytestconfig.getoption("--away")
    suite = small_suite(tmp_path / "r", steps=int(RATE * (away + 60)))  # with the time that a server takes to end
    with server.up():
        training = Process(suite, server, "ladd.stages.baseline", "mdlm")
        until(lambda: latest_step(suite), "the first checkpoint")
    back = time.monotonic() + away
    before = latest_step(suite)
    until(lambda: latest_step(suite) >= before + 3 * EVERY, "the third checkpoint without a server")
    time.sleep(max(0.0, back - time.monotonic()))
    assert training.process.poll() is None, "the training ended before the server was back: make it longer"
    with server.up() as client:
        output = training.end(1800 + 10 * away)
        check_points(client, suite)
    assert output.count("is kept and tried again") == 1
    assert "Retrying" not in output
    assert "ladd track sync" not in output


@pytest.mark.slow
def test_what_was_not_filed_at_the_end_is_filed_by_sync(server, tmp_path):
    suite = small_suite(tmp_path / "r", steps=10 * EVERY)
    with server.up():
        training = Process(suite, server, "dvc", "repro", STAGE)
        until(lambda: latest_step(suite), "the first checkpoint")
    output = training.end()
    assert "`ladd track sync` files it" in output
    assert "Traceback" not in output
    with server.up() as client:
        assert f"{STAGE:<32} completed" in Process(suite, server, "ladd.cli", "track", "sync").end()
        check_points(client, suite)


@pytest.mark.slow
def test_two_checkouts_that_train_the_same_file_each_point_once(server, tmp_path):
    suites = [small_suite(tmp_path / name, steps=6 * EVERY) for name in ("one", "two")]
    with server.up() as client:
        trainings = [Process(suite, server, "ladd.stages.baseline", "mdlm") for suite in suites]
        for training in trainings:
            training.end()
        check_points(client, suites[0])
