"""An MLflow server that goes away during a training, and comes back."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient

from flows.servers import answers, free_port
from tests.flows.site import until
from tests.stages.tiny import environment, make_suite, stage_command, tiny_values

AWAY = 60.0  # seconds


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1", "--port", str(port)]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artifacts"]
    settings = environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (folder / "log.txt").open("a") as log:
        process = subprocess.Popen([*command, *store], cwd=folder, env=settings, stdout=log, stderr=log)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/health"), "the start of MLflow")
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.mark.slow
def test_curves_are_complete_although_the_server_was_away_for_a_minute(tmp_path):
    values = tiny_values()
    values["baselines"]["mdlm"]["training"] |= {"steps": 600, "validate_every": 2, "checkpoint_every": 100}
    suite = make_suite(tmp_path / "r", tmp_path / "r/suites/tiny", {"baselines": values["baselines"]})
    store, port = tmp_path / "store", free_port(0)
    store.mkdir()
    uri = f"http://127.0.0.1:{port}"
    settings = environment() | {"PYTHONPATH": str(tmp_path / "r"), "MLFLOW_TRACKING_URI": uri}
    subprocess.run(stage_command("data", "sawtooth"), cwd=suite, env=settings, check=True)
    with mlflow_server(store, port):
        training = subprocess.Popen(stage_command("baseline", "mdlm"), cwd=suite, env=settings)
        until(lambda: list((suite / ".work").glob("*/*/step-*")), "the first checkpoint")
    time.sleep(AWAY)
    assert training.poll() is None, "the training ended before the server was away: make it longer"
    with mlflow_server(store, port):
        assert training.wait(600) == 0
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment_by_name("tiny").experiment_id
        (run,) = client.search_runs([experiment], "tags.`dvc.stage` = 'baseline@mdlm'")
        history = pl.read_csv(suite / "results/history/baseline-mdlm.csv", infer_schema_length=None)
        for column in history.columns[1:]:
            expected = history.filter(pl.col(column).is_not_null())["step"].to_list()
            assert [point.step for point in client.get_metric_history(run.info.run_id, column)] == expected
        assert run.info.status == "FINISHED"
