"""A model that MLflow has gives what `sample` gives: loaded, as a function of a table, and served."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import ladd
from ladd.cli import main
from ladd.errors import ArtifactError, ConfigError
from ladd.generation.export import register
from ladd.generation.served import Served, defaults_of

BATCH = 64


@pytest.fixture
def store(tmp_path, monkeypatch) -> str:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.mark.parametrize("key", ["mdlm", "ar", "co-seq"])
def test_table_of_64_rows_is_sample(sawtooth, key):
    model = ladd.load(sawtooth / key)
    table = Served(model).predict(pd.DataFrame({"given": [""] * BATCH}), defaults_of(model) | {"seed": 3})
    drawn = model.sample(BATCH, seed=3)
    assert list(table["text"]) == drawn.text
    np.testing.assert_array_equal(np.array([*table["tokens"]]), drawn.tokens)


def test_every_row_has_its_prompt_and_parameters_reach_the_sampler(sawtooth):
    model = ladd.load(sawtooth / "di-joint")
    rows = pd.DataFrame({"given": ["01", "", "111"]})
    table = Served(model).predict(rows, {"seed": 1, "steps": 2, "temperature": 0.5, "sampler": "sequential"})
    starts = [[0, 1, -1], [-1, -1, -1], [1, 1, 1]]
    drawn = model.sample(3, seed=1, steps=2, temperature=0.5, sampler="sequential", given=starts)
    assert list(table["text"]) == drawn.text
    with pytest.raises(ConfigError, match="one called 'given'"):
        Served(model).predict(pd.DataFrame({"text": [""]}))


def test_registered_model_is_a_version_with_alias_signature_and_example(sawtooth, store, tmp_path, monkeypatch, capsys):
    import mlflow

    arguments = ["export", "di-seq", "--suite", str(sawtooth), "--register", "saw", "--alias", "best"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.endswith("models:/saw/1\n")
    version = MlflowClient(tracking_uri=store).get_model_version_by_alias("saw", "best")
    assert (str(version.version), set(version.tags)) == ("1", {"commit", "sha256"})
    monkeypatch.chdir(tmp_path)
    expected = ladd.load(sawtooth / "di-seq").sample(BATCH, seed=2, steps=4)
    np.testing.assert_array_equal(ladd.load("models:/saw@best").sample(BATCH, seed=2, steps=4).tokens, expected.tokens)
    mlflow.set_tracking_uri(store)
    served = mlflow.pyfunc.load_model("models:/saw/1")
    table = served.predict(pd.DataFrame({"given": [""] * BATCH}), params={"seed": 2, "steps": 4})
    assert list(table["text"]) == expected.text
    assert served.metadata.signature.params is not None
    assert served.input_example is not None
    with pytest.raises(ArtifactError, match=r"models:/saw@worst is no model .*\['saw'\]"):
        ladd.load("models:/saw@worst")


def test_name_that_the_registry_does_not_take_is_an_error(sawtooth, store):
    with pytest.raises(ConfigError, match="MLflow takes no such name"):
        register(ladd.load(sawtooth / "mdlm"), "a/b")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "say where to"), (["--alias", "best", "--folder", "x"], "--alias: needs --register")],
)
def test_export_without_a_place_is_wrong_usage(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["export", "mdlm", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_endpoint_gives_64_rows_as_sample(sawtooth, store, tmp_path):
    model = ladd.load(sawtooth / "co-seq")
    uri = register(model, "saw")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", uri, "--env-manager", "local"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--port", str(port)], stdout=log, stderr=log, env=os.environ, start_new_session=True
        )
    try:
        body = {"dataframe_split": {"columns": ["given"], "data": [[""]] * BATCH}, "params": {"seed": 7}}
        answer = _ask(f"http://127.0.0.1:{port}/invocations", body, server)
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
    assert [row["text"] for row in answer["predictions"]] == model.sample(BATCH, seed=7).text


def _ask(address: str, body: dict, server: subprocess.Popen) -> dict:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.URLError as error:
            if isinstance(error, urllib.error.HTTPError):
                raise AssertionError(error.read()) from error
            time.sleep(0.5)
    raise AssertionError("nothing answers")
