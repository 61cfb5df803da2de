"""Two workers against one: same batches, noise, curves and codebooks; either goes on from the other's checkpoints."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ladd.files import file_hash
from ladd.training.checkpoint import MODEL, OPTIMISER, load_latest_checkpoint, prune_checkpoints
from ladd.training.executor import InlineContext
from ladd.training.sharded import read_average
from tests.training.workers import MUON, STEPS, TASKS, Trainer, few, mdlm, outcome, trainer

ROOT = Path(__file__).resolve().parents[2]


def one(name: str, folder: Path) -> Trainer:
    run = trainer(TASKS[name], InlineContext(folder / f"one-{name}"))
    run.train()
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two workers left, beside what one process made: one-NAME."""
    folder = tmp_path_factory.mktemp("workers")
    for name in TASKS:
        one(name, folder)
    for sharding in ("ddp", "fsdp"):
        shutil.copytree(folder / "one-mdlm" / "step-00000006", folder / f"from-one-{sharding}" / "step-00000006")
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.workers", str(folder), str(rank), "2"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    outputs = [worker.communicate()[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(outputs)
    return folder


def left(folder: Path, name: str, rank: int = 0):
    return torch.load(folder / f"{name}-{rank}.pt", weights_only=True)


def assert_close(found: dict, expected: dict) -> None:
    """Curves agree to 1e-4, and so do weights."""
    assert [row.keys() for row in found["history"]] == [row.keys() for row in expected["history"]]
    for mine, other in zip(found["history"], expected["history"], strict=True):
        assert mine == pytest.approx(other, abs=1e-4, rel=1e-4)
    for part in ("model", "average"):
        torch.testing.assert_close(found[part], expected[part], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("name", TASKS)
def test_two_workers_have_the_curves_and_weights_of_one(folder, name):
    expected = outcome(one(name, folder))
    assert [row["step"] for row in expected["history"]] == list(range(0, STEPS + 1, 2))
    first, last = (expected["history"][row]["validation/loss"] for row in (0, -1))
    assert abs(first - last) > 1e-3
    assert_close(left(folder, f"ddp-{name}"), expected)


@pytest.mark.parametrize("name", TASKS)
def test_workers_end_with_the_same_bits(folder, name):
    first, second = (left(folder, f"ddp-{name}", rank) for rank in range(2))
    for part in ("model", "average"):
        for key, value in first[part].items():
            assert torch.equal(value, second[part][key]), key
    assert first["history"] == second["history"]


def test_codebook_moved_and_is_that_of_one_worker(folder):
    model = left(folder, "ddp-discrete")["model"]
    codebook = "quantiser._codebook.embed"
    assert model["quantiser._codebook.initted"]
    expected = outcome(one("discrete", folder))["model"][codebook]
    torch.testing.assert_close(model[codebook], expected, atol=1e-4, rtol=1e-4)
    assert torch.equal(model[codebook], left(folder, "ddp-discrete", 1)["model"][codebook])


def test_workers_have_dropout_of_their_own_and_one_codebook(folder):
    first, second = (left(folder, "dropout", rank) for rank in range(2))
    assert len(first["masks"]) == len(second["masks"]) > 0
    assert not any(torch.equal(*masks) for masks in zip(first["masks"], second["masks"], strict=True))
    codebook = "quantiser._codebook.embed"
    assert first["model"]["quantiser._codebook.initted"]
    assert torch.equal(first["model"][codebook], second["model"][codebook])
    assert first["history"] == second["history"]


def test_more_workers_than_validation_sequences_measure_what_one_does(folder):
    expected = trainer(few, InlineContext(folder / "one-few")).metrics()
    assert left(folder, "few") == left(folder, "few", 1) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["mdlm", "co-ladd"])
def test_shards_have_the_curves_and_weights_of_one(folder, name):
    assert_close(left(folder, f"fsdp-{name}"), outcome(one(name, folder)))


def test_micro_batches_of_two_workers_are_those_of_one(folder):
    assert_close(left(folder, "micro"), outcome(one("mdlm", folder)))


@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_two_workers_go_on_from_the_checkpoint_of_one(folder, sharding):
    expected, found = outcome(one("mdlm", folder)), left(folder, f"from-one-{sharding}")
    assert found["history"][:4] == expected["history"][:4]
    assert_close(found, expected)
    [moments], [other] = ([part["state"] for part in run["optimiser"]] for run in (found, expected))
    torch.testing.assert_close(moments, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("sharding", "limit"), [("ddp", 1e-4), ("fsdp", 0.15)])
def test_muon_of_two_workers_is_that_of_one_but_for_its_bfloat16(folder, sharding, limit):
    """Newton-Schulz rounds to bfloat16, and what it rounds grows in directions that a gradient hardly has."""
    run = trainer(mdlm, InlineContext(folder / "one-muon"), optimiser=MUON)
    start = {name: p.detach().clone() for name, p in run.task.model.named_parameters()}
    run.train()
    found, expected = left(folder, f"muon-{sharding}"), outcome(run)
    for mine, other in zip(found["history"], expected["history"], strict=True):
        assert mine == pytest.approx(other, abs=2e-3, rel=2e-3)
    apart = sum(float((found["model"][name] - expected["model"][name]).square().sum()) for name in start)
    moved = sum(float((expected["model"][name] - value).square().sum()) for name, value in start.items())
    assert (apart / moved) ** 0.5 < limit  # of shards that were taken for matrices it would be about 1
    buffers, others = (list(made["optimiser"][1]["state"].values()) for made in (found, expected))
    assert len(buffers) == len(others) > 0
    torch.testing.assert_close(buffers, others, atol=2e-3, rtol=0.02)


def assert_same(found: dict, expected: dict) -> None:
    """To the bit."""
    assert found["history"] == expected["history"]
    for part in ("model", "average"):
        assert all(value.equal(expected[part][name]) for name, value in found[part].items())


def test_shards_of_a_checkpoint_are_files_of_their_workers(folder):
    path = folder / "fsdp-mdlm" / "step-00000012"
    files = json.loads((path / "checkpoint.json").read_text())["sha256"]
    assert files == {name: file_hash(path / name) for name in files}
    assert {f"{part}/__{rank}_0.distcp" for part in ("state", "average") for rank in range(2)} <= files.keys()
    assert not (path / MODEL).exists()
    sizes = [(path / f"average/__{rank}_0.distcp").stat().st_size for rank in range(2)]
    assert max(sizes) < 1.5 * min(sizes)


def test_workers_go_on_from_their_shards_to_the_bit(folder):
    assert_same(left(folder, "from-shards"), left(folder, "fsdp-mdlm"))


def test_average_of_shards_is_the_whole_average(folder):
    average = read_average(folder / "fsdp-mdlm" / "step-00000012")
    expected = left(folder, "fsdp-mdlm")["average"]
    assert average.keys() == expected.keys()
    assert all(value.equal(expected[name]) for name, value in average.items())


@pytest.mark.parametrize("name", ["state/__1_0.distcp", "average/__0_0.distcp", "state/.metadata", OPTIMISER])
def test_damaged_shard_is_named_and_the_checkpoint_before_is_used(folder, tmp_path, caplog, name):
    for step in (6, 12):
        shutil.copytree(folder / "fsdp-mdlm" / f"step-{step:08d}", tmp_path / f"step-{step:08d}")
    with (tmp_path / "step-00000012" / name).open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"!!!")
    with caplog.at_level(logging.WARNING):
        assert load_latest_checkpoint(tmp_path).step == 6
    assert f"step-00000012 is damaged ({name} has sha256" in caplog.text


def test_pruned_shards_leave_the_average(folder, tmp_path):
    for step in (6, 8, 12):
        shutil.copytree(folder / "fsdp-mdlm" / "step-00000006", tmp_path / f"step-{step:08d}")
    prune_checkpoints(tmp_path, {6})
    left_over = {path.name for path in (tmp_path / "step-00000006").iterdir()}
    assert left_over == {"average", "checkpoint.json"}
    assert read_average(tmp_path / "step-00000006")


@pytest.mark.parametrize("sharding", ["ddp", "fsdp"])
def test_workers_without_a_common_folder_do_what_those_with_one_do(folder, sharding):
    for node in ("first", "second"):
        assert_same(left(folder, f"{node}-{sharding}"), left(folder, f"{sharding}-mdlm"))
    steps = {path.name for path in (folder / "store" / sharding).glob("step-*")}
    assert steps == {"step-00000006", "step-00000012"}


@pytest.mark.parametrize("source", ["ddp-mdlm", "fsdp-mdlm"])
def test_one_goes_on_from_the_checkpoint_of_two_workers(folder, source, tmp_path):
    shutil.copytree(folder / source / "step-00000006", tmp_path / "step-00000006")
    run = trainer(mdlm, InlineContext(tmp_path))
    run.train()
    assert run.history[:4] == left(folder, source)["history"][:4]
    assert_close(outcome(run), outcome(one("mdlm", folder)))


def test_a_loss_that_is_no_number_stops_all_workers_and_names_the_rows(folder):
    errors = [left(folder, "poisoned", rank) for rank in range(2)]
    assert errors[0] == errors[1]
    assert "TrainingError: train/loss is nan in step" in errors[0]
    rows = errors[0].split("training rows ")[1].split(":")[0].split(", ")
    assert len(rows) == 8
    assert "17" in rows


def test_workers_that_are_asked_to_end_agree_on_the_step(folder):
    assert {left(folder, "stopped", rank) for rank in range(2)} == {
        "PreemptedError: training was asked to end: step 10 is saved, the next run goes on from it"
    }
    assert (folder / "stopped" / "step-00000010").is_dir()


def test_workers_that_see_other_checkpoints_say_so(folder):
    for rank in range(2):
        assert "the workers read checkpoints of steps 3, 0" in left(folder, "storage", rank)


def test_all_workers_stop_where_the_first_cannot_save(folder):
    assert all(left(folder, "blocked", rank).startswith("CheckpointError") for rank in range(2))


def test_only_own_rows_carry_gradients(folder):
    for rank in range(2):
        found = left(folder, "gathered", rank)
        assert found["rows"].tolist() == [[0.0] * 3] * 2 + [[1.0] * 3] * 2
        assert found["gradient"].tolist() == [[1.0] * 3] * 2
