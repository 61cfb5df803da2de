"""PostgreSQL, MLflow, Prefect and an S3 server, set up as in the cluster and used for real."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from ladd.tracking import TrackedRun, find_run
from tests.flows.site import own_environment
from tests.infra.manifests import INFRA
from tests.infra.servers import PASSWORDS, Deployed, object_store, postgres, postgres_programs, query

PROGRAMS = postgres_programs()
needs_postgres = pytest.mark.skipif(PROGRAMS is None, reason="no initdb under /usr/lib/postgresql")
BUCKETS = ["ladd-mlflow", "ladd-dvc"]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[dict[str, str]]:
    """An S3 server with the buckets; the settings of its clients."""
    with object_store(tmp_path_factory.mktemp("s3")) as settings:
        make = [sys.executable, str(INFRA / "container/buckets.py"), *BUCKETS]
        for said in ("made", "is there"):  # it may be run again
            made = subprocess.run(make, env=own_environment() | settings, capture_output=True, text=True, check=True)
            assert made.stdout.splitlines() == [f"{name} {said}" for name in BUCKETS]
        yield settings


@pytest.fixture(scope="module")
def database() -> Iterator[int]:
    """The port of a PostgreSQL server."""
    with postgres(PROGRAMS) as port:
        yield port


def keys_in(bucket: str, store: dict[str, str]) -> list[str]:
    client = boto3.client(
        "s3",
        endpoint_url=store["AWS_ENDPOINT_URL"],
        region_name=store["AWS_DEFAULT_REGION"],
        aws_access_key_id=store["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=store["AWS_SECRET_ACCESS_KEY"],
    )
    try:
        return [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]
    finally:
        client.close()


def basic(auth: str) -> str:
    return f"Basic {base64.b64encode(auth.encode()).decode()}"


def status(address: str, host: str, *, password: bool = True) -> int:
    """Of an answer of MLflow to a request under a name."""
    body = json.dumps({"max_results": 1}).encode()
    headers = {"Host": host, "Content-Type": "application/json"}
    if password:
        headers["Authorization"] = basic(f"ladd:{PASSWORDS['MLFLOW_TRACKING_PASSWORD']}")
    request = urllib.request.Request(f"{address}/api/2.0/mlflow/experiments/search", body, headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def track(root: Path) -> str:
    """A run as a stage logs it; its id."""
    (root / "params.yaml").write_text("suite: s\n")
    tags = {"suite": "s", "dvc.stage": "stage2@m"}
    with TrackedRun(root, suite="s", name="stage2@m", fingerprint="f", parameters={"model.d": 8}, tags=tags) as run:
        for step in range(30):
            run.log({"train/loss": 1.0 / (1 + step)}, step)
        run.attach("params.yaml", (root / "params.yaml").read_text())
        run.log_checkpoints([{"name": "step-2", "path": "p", "sha256": "0" * 64, "step": 2, "metrics": {"loss": 0.5}}])
    return run.run_id


@pytest.mark.slow
@needs_postgres
def test_tracked_run_is_in_postgresql_and_its_files_in_the_object_store(database, store, tmp_path, monkeypatch):
    mlflow = Deployed("mlflow", {"postgres:5432": f"127.0.0.1:{database}"})
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ladd")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORDS["MLFLOW_TRACKING_PASSWORD"])
    for start in range(2):  # the second time on tables that are there
        with mlflow.run("/health", tmp_path, store) as address:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            if not start:
                identifier = track(tmp_path)
            found = find_run(tmp_path, identifier)
            assert found.settings == "suite: s\n"  # through the server: this process has no key of the store
            assert found.tags["dvc.stage"] == "stage2@m"
            assert [status(address, name) for name in ("mlflow:5000", "mlflow.ladd.svc.cluster.local:5000")] == [
                200
            ] * 2
            assert status(address, "elsewhere.example.org") == 403
            assert status(address, "mlflow:5000", password=False) == 401
    points = query(PROGRAMS, database, "mlflow", f"SELECT count(*) FROM metrics WHERE run_uuid = '{identifier}'")
    assert int(points[0]) >= 30
    assert [key for key in keys_in("ladd-mlflow", store) if key.endswith(f"{identifier}/artifacts/params.yaml")]
    assert not list(tmp_path.rglob("*.db"))
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & os.environ.keys()


def fetch(address: str, body: bytes | None, headers: dict[str, str]) -> Any:
    with urllib.request.urlopen(urllib.request.Request(address, body, headers)) as answer:
        return json.load(answer)


FLOW = """
from prefect import flow
@flow(name="hello")
def hello(): return 7
assert hello() == 7
"""


@pytest.mark.slow
@needs_postgres
def test_flow_run_is_in_postgresql_and_outlives_the_server(database, tmp_path):
    prefect = Deployed("prefect", {"value: postgres}": "value: 127.0.0.1}", '"5432"': f'"{database}"'})
    settings = {"PREFECT_HOME": str(tmp_path / "home"), "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(tmp_path / "ui")}
    for start in range(2):
        with prefect.run("/api/health", tmp_path, settings) as address:
            if not start:
                environment = own_environment() | {"PREFECT_API_URL": f"{address}/api", "PREFECT_HOME": str(tmp_path)}
                environment["PREFECT_API_AUTH_STRING"] = PASSWORDS["PREFECT_API_AUTH_STRING"]
                subprocess.run([sys.executable, "-c", FLOW], env=environment, cwd=tmp_path, check=True, timeout=600)
            password = {"Authorization": basic(PASSWORDS["PREFECT_API_AUTH_STRING"])}
            token = fetch(f"{address}/api/csrf-token?client=test", None, password)["token"]
            csrf = {"Prefect-Csrf-Client": "test", "Prefect-Csrf-Token": token, "Content-Type": "application/json"}
            runs = fetch(f"{address}/api/flow_runs/filter", b"{}", csrf | password)
            assert [run["state"]["type"] for run in runs] == ["COMPLETED"]
            for headers in (csrf, password, {}):
                with pytest.raises(urllib.error.HTTPError, match=r"401|403"):
                    fetch(f"{address}/api/flow_runs/filter", b"{}", headers)
    assert query(PROGRAMS, database, "prefect", "SELECT state_type FROM flow_run") == ["COMPLETED"]
    assert not list(tmp_path.rglob("*.db"))


@pytest.mark.slow
@needs_postgres
def test_databases_are_closed_to_each_other_and_to_those_without_a_password(database):
    assert query(PROGRAMS, database, "mlflow", "SELECT current_user") == ["mlflow"]
    with pytest.raises(subprocess.CalledProcessError) as refused:
        subprocess.run(
            [PROGRAMS / "psql", "--no-password", "--username=mlflow", "--dbname=mlflow", "--command=SELECT 1"],
            env={"PGHOST": "127.0.0.1", "PGPORT": str(database), "PGPASSWORD": "wrong"},
            check=True,
            capture_output=True,
            text=True,
        )
    assert "password authentication failed" in refused.value.stderr


@pytest.mark.slow
def test_dvc_pushes_to_the_object_store_and_another_checkout_pulls(store, tmp_path):
    environment = own_environment() | store | {"DVC_SITE_CACHE_DIR": str(tmp_path / "site"), "DVC_NO_ANALYTICS": "1"}

    def dvc(folder: Path, *arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=folder, env=environment, check=True)

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    dvc(first, "init", "--no-scm", "--quiet")
    dvc(first, "remote", "add", "--default", "store", "s3://ladd-dvc/cache")
    (first / "shards").mkdir()
    for number in range(3):
        (first / f"shards/{number}").write_bytes(bytes([number]) * 2**20)
    dvc(first, "add", "--quiet", "shards")
    dvc(first, "push", "--quiet")
    assert len(keys_in("ladd-dvc", store)) == 4  # the files, and the list of them
    (second / ".dvc").mkdir(parents=True)
    for name in (".dvc/config", "shards.dvc"):
        (second / name).write_bytes((first / name).read_bytes())
    dvc(second, "pull", "--quiet")
    for number in range(3):
        assert (second / f"shards/{number}").read_bytes() == bytes([number]) * 2**20
