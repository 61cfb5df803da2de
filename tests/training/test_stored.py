"""Checkpoints in a store: what a folder has, for workers that have no folder in common."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from ladd.errors import StoreError
from ladd.object_store import ObjectStore
from ladd.training import stored as module
from ladd.training.checkpoint import (
    AVERAGE,
    MODEL,
    OPTIMISER,
    load_checkpoint,
    load_latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from ladd.training.stored import StoredCheckpoints, StoredContext
from tests.training.test_checkpoint import checkpoint, truncate

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path) -> StoredCheckpoints:
    return StoredCheckpoints(ObjectStore(str(tmp_path / "store")), "trainings/a@b/c")


def place(stored: StoredCheckpoints, step: int) -> Path:
    return Path(stored.store.url) / stored.name / f"step-{step:08d}"


def context(stored: StoredCheckpoints, folder: Path) -> StoredContext:
    folder.mkdir(exist_ok=True)
    return StoredContext(folder, CPU, stored)


def saved(stored: StoredCheckpoints, folder: Path) -> StoredContext:
    """A node that has saved two steps."""
    node = context(stored, folder)
    for step in (3, 6):
        node.save(checkpoint(step), {3, 6})
    return node


def test_another_node_goes_on_from_what_one_saved(stored, tmp_path):
    one, two = context(stored, tmp_path / "one"), context(stored, tmp_path / "two")
    assert two.latest() is None
    for step in (3, 6):
        one.save(checkpoint(step), {3, 6})
    found = two.latest()
    assert (found.step, found.history) == (6, checkpoint(6).history)
    assert torch.equal(found.model["weight"], checkpoint(6).model["weight"])


def test_checkpoint_without_its_description_is_none(stored, tmp_path):
    saved(stored, tmp_path / "one")
    (place(stored, 6) / "checkpoint.json").unlink()  # a kill in the middle of an upload
    assert stored.steps() == [3]
    assert context(stored, tmp_path / "two").latest().step == 3


def test_kill_while_a_step_is_stored_again_leaves_no_mixture(stored, tmp_path, monkeypatch):
    one = saved(stored, tmp_path / "one")
    put = ObjectStore.put

    def killed(store, file, name):
        put(store, file, name)
        raise KeyboardInterrupt

    changed = checkpoint(6)
    changed.model["weight"] += 1
    with monkeypatch.context() as patch:
        patch.setattr(ObjectStore, "put", killed)
        with pytest.raises(KeyboardInterrupt):
            one.save(changed, {3, 6})
    assert context(stored, tmp_path / "two").latest().step == 3


def test_damaged_checkpoint_is_named_and_the_one_before_is_used(stored, tmp_path, caplog):
    saved(stored, tmp_path / "one")
    truncate(place(stored, 6) / MODEL)
    two = context(stored, tmp_path / "two")
    with caplog.at_level(logging.WARNING):
        assert two.latest().step == 3
    assert "step-00000006 is damaged" in caplog.text
    assert not (tmp_path / "two/step-00000006").exists()


def test_store_is_pruned_as_a_folder_is(stored, tmp_path):
    one = context(stored, tmp_path / "one")
    for step in (1, 2, 3, 4, 5):
        one.save(checkpoint(step), {2, 4, 5})
    assert stored.steps() == [5, 4, 2]
    assert stored.steps(whole=True) == [5, 4]
    assert {path.name for path in place(stored, 2).iterdir()} == {AVERAGE, "checkpoint.json"}
    for path in (tmp_path / "one").glob("step-*"):
        assert {each.name for each in path.iterdir()} == {
            each.name for each in place(stored, int(path.name[5:])).iterdir()
        }


def test_driver_has_what_the_store_has(stored, tmp_path):
    one, driver = context(stored, tmp_path / "one"), tmp_path / "driver"
    for step in (1, 2, 3, 4):
        one.save(checkpoint(step), {1, 2, 3, 4})
        stored.mirror(driver)
    one.save(checkpoint(5), {1, 4, 5})
    stored.mirror(driver)
    assert sorted(path.name[-1] for path in driver.glob("step-*")) == ["1", "4", "5"]
    assert load_latest_checkpoint(driver).step == 5
    assert load_checkpoint(driver / "step-00000004").step == 4
    assert (driver / "step-00000001" / AVERAGE).is_file()
    assert not (driver / "step-00000001" / OPTIMISER).exists()
    assert not list(driver.glob(".fetched*"))


def test_fetched_files_are_not_fetched_again(stored, tmp_path, monkeypatch):
    context(stored, tmp_path / "one").save(checkpoint(3), {3})
    stored.mirror(tmp_path / "driver")
    monkeypatch.setattr(ObjectStore, "get", lambda *_: pytest.fail("fetched again"))
    stored.mirror(tmp_path / "driver")
    assert load_latest_checkpoint(tmp_path / "driver").step == 3


def test_driver_replaces_what_another_training_of_its_folder_left(stored, tmp_path):
    """A checkpoint of one worker in the place of that of two, say: the average of each step is that of the store."""
    context(stored, tmp_path / "one").save(checkpoint(3), {3})
    other = checkpoint(3)
    other.average["weight"] += 1
    save_checkpoint(tmp_path / "driver", other)
    stored.mirror(tmp_path / "driver")
    assert torch.equal(load_latest_checkpoint(tmp_path / "driver").average["weight"], checkpoint(3).average["weight"])


def test_newer_checkpoint_of_the_driver_stays_and_can_be_stored(stored, tmp_path):
    context(stored, tmp_path / "one").save(checkpoint(3), {3})
    for step in (3, 6, 9):
        path = save_checkpoint(tmp_path / "driver", checkpoint(step))
    prune_checkpoints(tmp_path / "driver", {3, 6, 9})
    stored.mirror(tmp_path / "driver")
    assert path.is_dir()
    stored.upload(path)
    assert context(stored, tmp_path / "two").latest().step == 9


def test_what_one_node_saved_and_did_not_store_is_forgotten(stored, tmp_path):
    one = context(stored, tmp_path / "one")
    one.save(checkpoint(3), {3})
    save_checkpoint(tmp_path / "one", checkpoint(6))
    assert one.latest().step == 3
    assert [path.name for path in (tmp_path / "one").glob("step-*")] == ["step-00000003"]


def test_request_to_end_reaches_the_workers(stored, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE", 0.0)
    one = context(stored, tmp_path / "one")
    assert not one.stopping(10)
    stored.ask_to_end()
    assert not one.stopping(11)  # they look at every tenth step
    assert one.stopping(20)
    stored.forget_request()
    assert not one.stopping(30)


def test_rows_reach_the_driver_each_once(stored, tmp_path):
    one = context(stored, tmp_path / "one")
    for step in (0, 3, 3, 6):
        one.report({"step": step, "loss": 1.0 / (step + 1)})
    one.save(checkpoint(6), {6})
    assert stored.rows() == [{"step": step, "loss": 1.0 / (step + 1)} for step in (0, 3, 6)]


def test_training_goes_on_where_rows_cannot_be_stored_and_stops_where_a_checkpoint_cannot(stored, tmp_path, caplog):
    one = context(stored, tmp_path / "one")
    (tmp_path / "store").write_text("a file where the store should be")
    with caplog.at_level(logging.WARNING):
        one.report({"step": 0})
    assert "LADD_STORAGE is" in caplog.text
    with pytest.raises(StoreError, match="LADD_STORAGE is"):
        one.save(checkpoint(3), {3})


def test_removed_training_leaves_nothing(stored, tmp_path):
    context(stored, tmp_path / "one").save(checkpoint(3), {3})
    stored.remove()
    assert stored.steps() == []
    assert not Path(stored.store.url, stored.name).exists()
