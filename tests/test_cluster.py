"""Ray's workers: a group that starts again after a fault, tasks that are shared out, clusters that are not there."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ladd.cluster import (
    TRIES,
    Workers,
    _environment,
    _own_error,
    share_out,
    train_on_workers,
    training_workers,
    workers_asked,
)
from ladd.config import ComputeConfig, TrainingConfig
from ladd.errors import ClusterError, ConfigError, StoreError, TrainingError
from tests import on_workers
from tests.builders import executor, training

REPOSITORY = Path(__file__).resolve().parents[1]
TWO = Workers(2, gpu=False)


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    """No variable of another test leads to a cluster or a store."""
    for name in ("RAY_ADDRESS", "LADD_STORAGE"):
        monkeypatch.delenv(name, raising=False)


# Found, not imported: Ray reads how it is to be protected when it is imported, and ladd.cluster says so before.
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")


def no_step() -> int:
    return 0


@pytest.mark.slow
@needs_ray
def test_workers_form_a_group_in_the_folder_of_the_driver(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train_on_workers(on_workers.note, (tmp_path,), TWO, no_step)
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in range(2)] == [f"2 {tmp_path}"] * 2


@pytest.mark.slow
@needs_ray
def test_exception_in_one_worker_starts_all_again(tmp_path):
    train_on_workers(on_workers.fail_once, (tmp_path,), TWO, no_step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["failed", "rank-0", "rank-1"]


@pytest.mark.slow
@needs_ray
def test_a_fault_that_stays_ends_after_some_tries_without_progress(tmp_path):
    with pytest.raises(ClusterError, match=f"{TRIES} times in a row at step 0(?s:.*)a fault that stays"):
        train_on_workers(on_workers.fail_always, (tmp_path,), TWO, no_step)
    assert max(len(path.read_text()) for path in tmp_path.iterdir()) == TRIES


@pytest.mark.slow
@needs_ray
def test_an_error_of_the_training_itself_is_raised_at_once(tmp_path):
    with pytest.raises(TrainingError, match="train/loss is nan in step 3"):
        train_on_workers(on_workers.stop_for_good, (tmp_path,), TWO, no_step)
    assert max(len(path.read_text()) for path in tmp_path.iterdir()) == 1


@pytest.mark.slow
@needs_ray
def test_tasks_are_shared_out_and_a_dead_worker_starts_again(tmp_path):
    share_out(on_workers.die_once, (tmp_path,), TWO)
    assert {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "died"} == {
        str(number): f"{number % 2} of 2" for number in range(5)
    }


@pytest.mark.slow
@needs_ray
def test_an_error_of_a_task_is_raised(tmp_path):
    with pytest.raises(TrainingError, match="this is no shard"):
        share_out(on_workers.refuse, (tmp_path,), TWO)


@pytest.mark.slow
@needs_ray
def test_two_nodes_that_want_a_token(tmp_path):
    """In a process of its own: Ray reads the token once."""
    command = [sys.executable, "-m", "tests.two_nodes", str(tmp_path)]
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert len(list(tmp_path.glob("rank-*"))) == 2
    assert process.stdout.splitlines()[-2:] == ["right token: done", "wrong token: refused"]


@needs_ray
def test_nothing_answers_at_the_address(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ClusterError, match=r"RAY_ADDRESS is 127.0.0.1:1, where nothing answers"):
        share_out(on_workers.write_shards, (tmp_path,), TWO)


def test_ray_that_is_not_installed_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError, match="not part of the default install; add it: make install-cluster"):
        train_on_workers(on_workers.note, (tmp_path,), TWO, no_step)


@pytest.mark.parametrize("asked", ["0", "-1", "two", ""])
def test_number_of_workers_must_be_one(asked, monkeypatch):
    monkeypatch.setenv("LADD_WORKERS", asked)
    with pytest.raises(ConfigError, match=rf"LADD_WORKERS is '{asked}'"):
        workers_asked(ComputeConfig(device="cpu", threads=1))


def test_number_of_workers(monkeypatch):
    monkeypatch.delenv("LADD_WORKERS", raising=False)
    assert workers_asked(ComputeConfig(device="cpu", threads=1)) is None
    monkeypatch.setenv("LADD_WORKERS", "3")
    assert workers_asked(ComputeConfig(device="cpu", threads=1)) == Workers(3, gpu=False)
    assert workers_asked(ComputeConfig(device="cuda", threads=1)) == Workers(3, gpu=True)


def test_training_goes_on_with_another_number_of_workers_that_divides_its_batch(monkeypatch):
    config = TrainingConfig.model_validate(training(batch=8, executor=executor(kind="ray", workers=4, micro_batch=2)))
    cpu = ComputeConfig(device="cpu", threads=1)
    monkeypatch.delenv("LADD_TRAINING_WORKERS", raising=False)
    assert training_workers(config, cpu) == Workers(4, gpu=False)
    monkeypatch.setenv("LADD_TRAINING_WORKERS", "2")
    assert training_workers(config, cpu) == Workers(2, gpu=False)
    for number, message in (("3", "cannot be shared out evenly"), ("8", "divides 4"), ("0", "at least 1")):
        monkeypatch.setenv("LADD_TRAINING_WORKERS", number)
        with pytest.raises(ConfigError, match=rf"LADD_TRAINING_WORKERS is '?{number}'?[,;] .*{message}"):
            training_workers(config, cpu)


def test_without_a_common_folder_nothing_is_shared_out(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("LADD_WORKERS", "3")
    monkeypatch.setenv("LADD_STORAGE", str(tmp_path))
    with caplog.at_level(logging.WARNING):
        assert workers_asked(ComputeConfig(device="cpu", threads=1)) is None
    assert "LADD_WORKERS is left aside, as LADD_STORAGE is set" in caplog.text


def test_workers_get_the_settings_of_the_stage_and_nodes_keep_theirs(monkeypatch):
    given = {"AWS_ENDPOINT_URL": "http://a", "LADD_STORAGE": "s3://b", "LADD_NODE_FOLDER": "/here", "SECRET": "c"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for ship in (False, True):
        environment = _environment(ship=ship)
        found = environment["env_vars"]
        assert {name: found.get(name) for name in given} == {**given, "LADD_NODE_FOLDER": None, "SECRET": None}
        assert ("py_modules" in environment) == ship == ("PYTHONPATH" not in found)


def test_error_of_a_worker_ends_the_training_unless_its_store_was_away():
    lost, wrong = StoreError("away"), TrainingError("nan")
    assert _own_error([ValueError(), lost]) is None
    assert _own_error([lost, wrong]) is wrong


def test_nothing_imports_ray_until_it_is_wanted():
    command = "import sys, ladd.stages.train, ladd.stages.sample; print('ray' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
