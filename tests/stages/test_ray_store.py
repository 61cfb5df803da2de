"""Stage 2 on two Ray nodes that share an S3 server and nothing else: the bytes of a shared folder; faults are free."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import boto3
import pytest
import yaml

from ladd.files import file_hash
from ladd.stages.recorded import read_history
from ladd.stages.runtime import EXIT_TEMPORARY
from ladd.training.checkpoint import AVERAGE, load_checkpoint
from tests.infra.servers import object_store
from tests.stages import pair
from tests.stages.attempts import PATIENCE, Attempt, change, run, tracked_steps, wait_for, weights_of
from tests.stages.nodes import Nodes, can_hide
from tests.stages.tiny import REPOSITORY, environment, make_suite, tiny_values, write_params

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
    pytest.mark.skipif(not can_hide(), reason="this user may not hide folders from processes"),
]

KEY, STEPS, EVERY = "co-ladd", 200, 20
MODEL, HISTORY = f"artifacts/models/{KEY}", f"results/history/stage2-{KEY}.csv"
BUCKET, PREFIX = "ladd-storage", "me/checkout"


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    """A suite with its data, the latents of a short Stage 1, and a Stage 2 of a few hundred steps."""
    folder = tmp_path_factory.mktemp("ray-store") / "suite"
    values = tiny_values()
    often = {"validate_every": EVERY, "checkpoint_every": EVERY}
    values["models"][KEY]["training"] |= {"steps": STEPS, "keep": 50, **often}
    make_suite(folder, folder, values | {"root": "."})
    run(folder, "data", "sawtooth")
    run(folder, "stage1", "co")
    change(folder, "models", KEY, kind="ray", workers=2)
    return folder


@pytest.fixture(scope="module")
def two(suite) -> dict:
    """The last checkpoint of two processes that share the folder of the suite."""
    commands = [[sys.executable, "-m", "tests.stages.pair", "stage2", KEY, str(rank)] for rank in range(2)]
    settings = environment() | {"PYTHONPATH": str(REPOSITORY)}
    workers = [subprocess.Popen(command, cwd=suite, env=settings) for command in commands]
    assert [worker.wait(PATIENCE) for worker in workers] == [0, 0]
    found = load_checkpoint(suite / pair.FOLDER / f"step-{STEPS:08d}")
    return {"weights": found.average, "history": found.history}


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Settings of a stage whose workers reach an S3 server."""
    with object_store(tmp_path_factory.mktemp("s3")) as settings:
        client(settings).create_bucket(Bucket=BUCKET)
        yield settings | {"LADD_STORAGE": f"s3://{BUCKET}/{PREFIX}"}


def client(settings):
    return boto3.client(
        "s3",
        endpoint_url=settings["AWS_ENDPOINT_URL"],
        region_name=settings["AWS_DEFAULT_REGION"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )


def objects(settings, below: str) -> list[str]:
    found = client(settings).list_objects_v2(Bucket=BUCKET, Prefix=f"{PREFIX}/{below}").get("Contents", [])
    return [entry["Key"].removeprefix(f"{PREFIX}/") for entry in found]


def checkpoints(settings) -> list[str]:
    return [name for name in objects(settings, "trainings/") if name.endswith("/checkpoint.json")]


@pytest.fixture(scope="module")
def nodes(suite, tmp_path_factory) -> Iterator[Nodes]:
    """A head and two nodes; what a test kills of them it replaces."""
    found = Nodes(hidden=suite, folder=tmp_path_factory.mktemp("nodes"))
    try:
        found.add("one")
        found.add("two")
        yield found
    finally:
        found.end()


@pytest.fixture
def keep(suite, request) -> int:
    """A tracked run of its own, and nothing left of an earlier one: `keep` changes no number."""
    values = yaml.safe_load((suite / "params.yaml").read_text())
    values["models"][KEY]["training"]["keep"] += 1
    write_params(suite, values)
    shutil.rmtree(suite / ".work" / f"stage2@{KEY}", ignore_errors=True)
    return values["models"][KEY]["training"]["keep"]


def assert_nothing_lost(suite: Path, keep: int, two: dict) -> None:
    weights = weights_of(suite, MODEL)
    assert weights.keys() == two["weights"].keys()
    assert all(value.equal(two["weights"][name]) for name, value in weights.items())
    assert read_history(suite / HISTORY) == two["history"]
    assert tracked_steps(suite, keep) == ("FINISHED", list(range(0, STEPS + 1, EVERY)))
    kept = {path.name for path in (suite / MODEL / "checkpoints").iterdir()}
    assert kept == {f"step-{step:08d}.safetensors" for step in range(EVERY, STEPS + 1, EVERY)}


def test_nodes_that_share_a_store_make_what_nodes_make_that_share_a_folder(suite, two, store, nodes, keep):
    assert nodes.hides("one")
    assert nodes.hides("two")
    run(suite, "stage2", KEY, **store, **nodes.settings)
    assert_nothing_lost(suite, keep, two)
    for step in (STEPS - EVERY, STEPS):
        kept = suite / pair.FOLDER / f"step-{step:08d}" / AVERAGE
        assert file_hash(suite / MODEL / f"checkpoints/step-{step:08d}.safetensors") == file_hash(kept)
    for name in ("one", "two"):
        assert {path.name for path in (nodes.folder / name / "files").glob("[!.]*")} <= {
            name.removeprefix("files/") for name in objects(store, "files/")
        }
        assert not any((nodes.folder / name).rglob("step-*"))
    assert not objects(store, "trainings/")
    assert not objects(store, "ray/")


def test_killed_worker_costs_nothing(suite, two, store, nodes, keep):
    attempt = Attempt(suite, "stage2", KEY, **store, **nodes.settings)
    wait_for(lambda: checkpoints(store) and nodes.workers())
    nodes.workers()[0].kill()
    assert "start again from step" in attempt.finish()
    assert_nothing_lost(suite, keep, two)


def test_killed_node_costs_nothing(suite, two, store, nodes, keep):
    attempt = Attempt(suite, "stage2", KEY, **store, **nodes.settings)
    wait_for(lambda: checkpoints(store) and nodes.workers())
    nodes.kill("two")
    nodes.add("three")  # as Kubernetes does
    assert "start again from step" in attempt.finish()
    assert_nothing_lost(suite, keep, two)


def test_two_workers_one_and_two_again(suite, two, store, nodes, keep):
    saved = []
    for workers in ("2", "1"):
        before = checkpoints(store)
        attempt = Attempt(suite, "stage2", KEY, **store, **nodes.settings, LADD_TRAINING_WORKERS=workers)
        wait_for(lambda before=before: set(checkpoints(store)) - set(before) and nodes.workers())
        attempt.process.send_signal(signal.SIGTERM)
        assert "training was asked to end: step" in attempt.finish(EXIT_TEMPORARY)
        saved.append(max(checkpoints(store)))
    assert saved[0] < saved[1]
    run(suite, "stage2", KEY, **store, **nodes.settings)
    found = read_history(suite / HISTORY)
    assert [row["step"] for row in found] == list(range(0, STEPS + 1, EVERY))
    for row, expected in zip(found, two["history"], strict=True):
        assert row["validation/loss"] == pytest.approx(expected["validation/loss"], rel=1e-3)
    assert tracked_steps(suite, keep) == ("FINISHED", list(range(0, STEPS + 1, EVERY)))


def test_killed_head_and_driver_cost_nothing(suite, two, store, nodes, keep, tmp_path):
    """The last test of these nodes."""
    attempt = Attempt(suite, "stage2", KEY, **store, **nodes.settings)
    wait_for(lambda: checkpoints(store) and nodes.workers())
    nodes.end()
    attempt.process.kill()
    attempt.process.wait()
    shutil.rmtree(suite / ".work" / f"stage2@{KEY}", ignore_errors=True)  # the next driver is on another machine
    others = Nodes(hidden=suite, folder=tmp_path / "others")
    try:
        others.add("one")
        others.add("two")
        output = run(suite, "stage2", KEY, **store, **others.settings)
    finally:
        others.end()
    assert f"training:   0%|          | 0/{STEPS}" not in output
    assert_nothing_lost(suite, keep, two)
