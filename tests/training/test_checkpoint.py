"""Checkpoints on disk."""

import json
import logging
import resource
import signal
from collections.abc import Callable

import pytest
import torch

from ladd.errors import CheckpointError
from ladd.training import checkpoint as module
from ladd.training.checkpoint import (
    AVERAGE,
    MODEL,
    OPTIMISER,
    Checkpoint,
    load_checkpoint,
    load_latest_checkpoint,
    prune_checkpoints,
    save_checkpoint,
)
from ladd.training.executor import InlineContext


def checkpoint(step: int) -> Checkpoint:
    weights = {"weight": torch.full((3,), float(step)), "count": torch.tensor(step), "flag": torch.tensor(True)}
    return Checkpoint(
        step=step,
        model=weights,
        average={"weight": torch.full((3,), step / 3)},
        average_updates=step,
        optimiser={"state": {0: {"exp_avg": torch.full((3,), 0.1 * step)}}},
        history=[{"step": step, "train/loss": 0.1 + 0.2}],
        recent=[{"loss": 0.1 + 0.7}],
    )


def truncate(path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def test_what_is_saved_is_what_is_loaded(tmp_path):
    saved = checkpoint(7)
    loaded = load_checkpoint(save_checkpoint(tmp_path, saved))
    assert (loaded.step, loaded.average_updates, loaded.history) == (7, 7, saved.history)
    for name in ("weight", "count", "flag"):
        assert torch.equal(loaded.model[name], saved.model[name])
        assert loaded.model[name].dtype == saved.model[name].dtype
    assert torch.equal(loaded.average["weight"], saved.average["weight"])
    assert torch.equal(loaded.optimiser["state"][0]["exp_avg"], saved.optimiser["state"][0]["exp_avg"])


def test_tied_and_strided_tensors_can_be_saved(tmp_path):
    tensor, saved = torch.randn(3, 4), checkpoint(1)
    saved.model = {"a": tensor, "b": tensor, "turned": tensor.T}
    loaded = load_checkpoint(save_checkpoint(tmp_path, saved)).model
    assert torch.equal(loaded["a"], loaded["b"])
    assert torch.equal(loaded["turned"], tensor.T)


def test_description_is_readable(tmp_path):
    description = json.loads((save_checkpoint(tmp_path, checkpoint(7)) / "checkpoint.json").read_text())
    assert description["step"] == 7
    assert set(description["sha256"]) == {MODEL, AVERAGE, OPTIMISER}


def test_latest_is_the_one_of_the_highest_step(tmp_path):
    for step in (9, 10, 100):
        save_checkpoint(tmp_path, checkpoint(step))
    assert load_latest_checkpoint(tmp_path).step == 100


@pytest.mark.parametrize("folder", [".", "missing"])
def test_no_checkpoint_is_none(tmp_path, folder):
    assert load_latest_checkpoint(tmp_path / folder) is None


@pytest.mark.parametrize("name", [MODEL, AVERAGE, OPTIMISER, "checkpoint.json"])
def test_truncated_file_is_named_and_the_checkpoint_before_is_used(tmp_path, caplog, name):
    save_checkpoint(tmp_path, checkpoint(3))
    truncate(save_checkpoint(tmp_path, checkpoint(6)) / name)
    with caplog.at_level(logging.WARNING):
        loaded = load_latest_checkpoint(tmp_path)
    assert loaded.step == 3
    assert "step-00000006 is damaged" in caplog.text
    assert name in caplog.text or name == "checkpoint.json"


@pytest.mark.parametrize("name", [MODEL, AVERAGE, "checkpoint.json"])
def test_missing_file_is_named_and_the_checkpoint_before_is_used(tmp_path, caplog, name):
    save_checkpoint(tmp_path, checkpoint(3))
    (save_checkpoint(tmp_path, checkpoint(6)) / name).unlink()
    with caplog.at_level(logging.WARNING):
        assert load_latest_checkpoint(tmp_path).step == 3
    assert name in caplog.text


def test_one_changed_bit_is_detected(tmp_path):
    path = save_checkpoint(tmp_path, checkpoint(3)) / MODEL
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{MODEL} has sha256"):
        load_checkpoint(path.parent)


def edited(**changes) -> Callable[[str], str]:
    """A description with other values, as an editor or a failing disk may leave it."""
    return lambda text: json.dumps(json.loads(text) | changes)


@pytest.mark.parametrize(
    "damage",
    [
        *(edited(step=92), edited(average_updates=7), edited(run_id="another"), edited(recent=[])),
        *(
            edited(history=[{"step": 6, "train/loss": 0.3}]),
            edited(sha256=None),
            edited(sha256={}),
            edited(checksum=None),
        ),
        *(lambda text: "[1, 2]", lambda text: "null", lambda text: "6", lambda text: ""),
        lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != "checksum"}),
    ],
)
def test_description_that_is_not_what_was_written_is_damage(tmp_path, caplog, damage):
    save_checkpoint(tmp_path, checkpoint(3))
    path = save_checkpoint(tmp_path, checkpoint(6)) / "checkpoint.json"
    assert load_latest_checkpoint(tmp_path).step == 6
    path.write_text(damage(path.read_text()))
    with caplog.at_level(logging.WARNING):
        assert load_latest_checkpoint(tmp_path).step == 3
    assert "step-00000006 is damaged" in caplog.text
    assert "using the one before" in caplog.text


def test_description_may_be_laid_out_in_another_way(tmp_path):
    saved = checkpoint(6)
    saved.history = [{"step": 6, "loss": value} for value in (1e-300, 0.1 + 0.2, 1 / 3, float("inf"), float("nan"), 3)]
    path = save_checkpoint(tmp_path, saved) / "checkpoint.json"
    path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items()))))
    assert load_latest_checkpoint(tmp_path).step == 6


@pytest.mark.parametrize("function", ["save_tensors", "file_hash"])
def test_a_kill_while_saving_leaves_no_half_checkpoint(tmp_path, monkeypatch, function):
    save_checkpoint(tmp_path, checkpoint(3))

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, function, killed)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(tmp_path, checkpoint(6))
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000003"]
    assert load_latest_checkpoint(tmp_path).step == 3
    save_checkpoint(tmp_path, checkpoint(6))
    assert load_latest_checkpoint(tmp_path).step == 6
    assert not list(tmp_path.glob(".partial*"))


def test_saving_a_step_again_replaces_it(tmp_path):
    save_checkpoint(tmp_path, checkpoint(3))
    changed = checkpoint(3)
    changed.average_updates = 99
    save_checkpoint(tmp_path, changed)
    assert load_latest_checkpoint(tmp_path).average_updates == 99


def test_pruning_keeps_averages(tmp_path):
    for step in (1, 2, 3, 4):
        save_checkpoint(tmp_path, checkpoint(step))
    prune_checkpoints(tmp_path, kept={2, 4})
    assert not (tmp_path / "step-00000001").exists()
    for step, whole in ((2, False), (3, True), (4, True)):
        path = tmp_path / f"step-{step:08d}"
        assert (path / AVERAGE).exists()
        assert (path / MODEL).exists() == (path / OPTIMISER).exists() == whole


def test_pruned_checkpoints_are_not_resumed_from(tmp_path, caplog):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, checkpoint(step))
    prune_checkpoints(tmp_path, kept={1, 2, 3})
    for step in (2, 3):
        truncate(tmp_path / f"step-{step:08d}" / MODEL)
    with caplog.at_level(logging.WARNING):
        assert load_latest_checkpoint(tmp_path) is None
    assert "step-00000001" not in caplog.text


def test_inline_context_saves_prunes_and_finds_the_latest(tmp_path):
    rows, context = [], InlineContext(tmp_path / "run")
    assert context.latest() is None
    for step in (1, 2, 3):
        context.save(checkpoint(step), {1, 2, 3, 4})
    assert context.latest().step == 3
    assert not (tmp_path / "run" / "step-00000001" / MODEL).exists()
    InlineContext(tmp_path, rows.append).report({"step": 1})
    assert rows == [{"step": 1}]


def test_full_disk_is_named_and_costs_no_checkpoint(tmp_path):
    """A limit on the size of files stands for the full disk: the system refuses the write in the middle of a file."""
    save_checkpoint(tmp_path, checkpoint(3))
    large = checkpoint(6)
    large.model["weight"] = torch.zeros(2**18)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        with pytest.raises(CheckpointError, match=r"checkpoint of step 6 could not be written.*free some space"):
            save_checkpoint(tmp_path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]
    assert load_latest_checkpoint(tmp_path).step == 3
