"""Inputs and checkpoints on their way between a stage and its workers."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ladd.errors import ClusterError, StoreError
from ladd.object_store import ObjectStore
from ladd.stages import handover
from ladd.stages.handover import _Follower, node_folder, offer, take
from ladd.training.executor import STOP
from ladd.training.stored import StoredCheckpoints
from tests.training.test_checkpoint import checkpoint, save_checkpoint


@pytest.fixture
def store(tmp_path) -> ObjectStore:
    return ObjectStore(str(tmp_path / "store"))


@pytest.fixture
def inputs(tmp_path, monkeypatch) -> list[Path]:
    """Files of a stage in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("artifacts/data/train/0.arrow", "artifacts/data/train/1.arrow", "params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"content of {Path(name).name}")
    return [Path("artifacts/data/train"), Path("params.yaml")]


def test_node_gets_the_files_under_their_names(store, inputs, tmp_path):
    take(store, offer(store, inputs), tmp_path / "node/run", tmp_path / "node")
    for path in ("artifacts/data/train/0.arrow", "artifacts/data/train/1.arrow", "params.yaml"):
        assert (tmp_path / "node/run" / path).read_bytes() == Path(path).read_bytes()


def test_file_is_sent_and_fetched_once(store, inputs, tmp_path, monkeypatch):
    listing = offer(store, inputs)
    take(store, listing, tmp_path / "node/run", tmp_path / "node")
    Path("artifacts/data/train/2.arrow").write_text("content of 0.arrow")  # the same content
    sent, fetched = [], []
    put, get = ObjectStore.put, ObjectStore.get
    monkeypatch.setattr(ObjectStore, "put", lambda self, *a: (sent.append(a[1]), put(self, *a))[1])
    monkeypatch.setattr(ObjectStore, "get", lambda self, *a: (fetched.append(a[0]), get(self, *a))[1])
    again = offer(store, inputs)
    take(store, again, tmp_path / "node/other", tmp_path / "node")
    assert again == listing | {"artifacts/data/train/2.arrow": listing["artifacts/data/train/0.arrow"]}
    assert sent == fetched == []
    assert (tmp_path / "node/other/artifacts/data/train/2.arrow").read_text() == "content of 0.arrow"


def test_cut_upload_is_sent_again(store, inputs):
    [digest] = {offer(store, inputs)["params.yaml"]}
    (Path(store.url) / "files" / digest).write_text("con")
    offer(store, inputs)
    assert (Path(store.url) / "files" / digest).read_text() == "content of params.yaml"


@pytest.mark.parametrize("damage", [lambda path: path.write_text("content of params.yamL"), Path.unlink])
def test_damaged_or_missing_object_is_named_and_not_kept(store, inputs, tmp_path, damage):
    listing = offer(store, inputs)
    damage(Path(store.url) / "files" / listing["params.yaml"])
    with pytest.raises(StoreError, match=rf"files/{listing['params.yaml']} is damaged or gone"):
        take(store, listing, tmp_path / "node/run", tmp_path / "node")
    assert not (tmp_path / "node/files" / listing["params.yaml"]).exists()


def test_node_has_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("LADD_NODE_FOLDER", str(tmp_path / "disk/ladd"))
    assert node_folder() == tmp_path / "disk/ladd"
    assert node_folder().is_dir()
    monkeypatch.delenv("LADD_NODE_FOLDER")
    monkeypatch.setattr(handover.tempfile, "gettempdir", lambda: str(tmp_path))
    assert node_folder() == tmp_path / f"ladd-{os.getuid()}"
    monkeypatch.setattr(handover.os, "getuid", lambda: 12345)
    (tmp_path / "ladd-12345").mkdir()
    with pytest.raises(ClusterError, match="ladd-12345 is another user's; set LADD_NODE_FOLDER"):
        node_folder()


class Run:
    """Stands for the tracked run."""

    def __init__(self):
        self.steps: list[int] = []

    def log_row(self, row) -> None:
        self.steps.append(int(row["step"]))


@pytest.fixture
def stored(store) -> StoredCheckpoints:
    return StoredCheckpoints(store, "trainings/a/b")


def soon(condition) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def test_driver_follows_its_workers(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "_LOOK", 0.01)
    monkeypatch.setattr(handover, "_FETCH", 0.01)
    work, run = tmp_path / "work", Run()
    work.mkdir()
    stored.ask_to_end()  # left by a driver that was killed
    with _Follower(work, stored, run) as follower:
        assert not stored.is_asked_to_end()
        assert follower.step() == 0
        stored.put_rows([{"step": 0}, {"step": 3}])
        stored.upload(save_checkpoint(tmp_path / "node", checkpoint(3)))
        assert follower.step() == 3
        assert soon(lambda: (work / "step-00000003").is_dir() and 3 in run.steps)
        (work / STOP).touch()
        assert soon(stored.is_asked_to_end)
        stored.upload(save_checkpoint(tmp_path / "node", checkpoint(6)))
    assert (work / "step-00000006").is_dir()


def test_driver_brings_what_it_trained_without_the_store(stored, tmp_path):
    for step in (3, 6):
        save_checkpoint(tmp_path / "work", checkpoint(step))
    with _Follower(tmp_path / "work", stored, Run()) as follower:
        assert follower.step() == 6
    assert stored.steps() == [6, 3]


def test_store_that_goes_away_stops_the_driver_at_the_end_and_not_before(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(handover, "_LOOK", 0.01)
    monkeypatch.setattr(handover, "_FETCH", 0.01)
    tries = []

    def away(self, folder):
        tries.append(folder)
        raise StoreError("the store is away")

    (tmp_path / "work").mkdir()
    follower = _Follower(tmp_path / "work", stored, Run())
    with pytest.raises(StoreError, match="the store is away"), follower:  # noqa: PT012
        monkeypatch.setattr(StoredCheckpoints, "mirror", away)
        assert soon(lambda: len(tries) > 2)
    assert not follower._thread.is_alive()


def test_step_is_known_while_the_store_is_away(stored, tmp_path, monkeypatch):
    def away(self):
        raise StoreError("the store is away")

    save_checkpoint(tmp_path / "work", checkpoint(3))
    with _Follower(tmp_path / "work", stored, Run()) as follower:
        assert follower.step() == 3
        with monkeypatch.context() as patch:
            patch.setattr(StoredCheckpoints, "steps", away)
            assert follower.step() == 3
