"""Stages on Ray's workers: the numbers of one process, and nothing lost when anything of it is killed."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
import yaml

from ladd.files import file_hash
from ladd.stages.recorded import read_history
from ladd.stages.runtime import EXIT_TEMPORARY
from tests.builders import text_suite_values
from tests.stages.attempts import PATIENCE, Attempt, change, run, tracked_steps, wait_for, weights_of
from tests.stages.text_assets import write_assets
from tests.stages.tiny import OWN_SYSTEM, make_suite, tiny_values, write_params

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed"),
]

KEY, STEPS, EVERY = "mdlm", 800, 20
MODEL = f"artifacts/models/{KEY}"
KILLS = 20


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Path:
    """A suite with its data, a training of a few hundred steps, and samples of an untrained length."""
    folder = tmp_path_factory.mktemp("ray") / "suite"
    values = tiny_values()
    values["baselines"][KEY]["training"] |= {"steps": STEPS, "validate_every": EVERY, "checkpoint_every": EVERY}
    make_suite(folder, folder, values | {"root": "."})
    run(folder, "data", "sawtooth")
    return folder


@pytest.fixture(scope="module")
def inline(suite) -> dict:
    """Weights and curves of one process."""
    change(suite, "baselines", KEY)
    run(suite, "baseline", KEY)
    return {"weights": weights_of(suite, MODEL), "history": read_history(suite / f"results/history/baseline-{KEY}.csv")}


@pytest.fixture(scope="module")
def two(suite, inline) -> dict:
    """Weights of two workers that nobody disturbed."""
    change(suite, "baselines", KEY, kind="ray", workers=2)
    run(suite, "baseline", KEY)
    return {"weights": weights_of(suite, MODEL), "history": read_history(suite / f"results/history/baseline-{KEY}.csv")}


def test_one_worker_ends_with_the_weights_of_the_inline_path(suite, inline):
    change(suite, "baselines", KEY, kind="ray")
    run(suite, "baseline", KEY)
    found = weights_of(suite, MODEL)
    assert found.keys() == inline["weights"].keys()
    assert all(value.equal(inline["weights"][name]) for name, value in found.items())


def test_two_workers_have_the_curves_of_the_inline_path(inline, two):
    """Rounding grows tenfold in twenty steps at this rate, until the two are trainings of their own that go as well."""
    for found, expected in zip(two["history"], inline["history"], strict=True):
        tolerance = 1e-4 if found["step"] <= 60 else 0.1
        for name in ("validation/loss", "train/loss"):
            assert found.get(name, 0.0) == pytest.approx(expected.get(name, 0.0), abs=tolerance)


VICTIMS: dict[str, Callable[[Attempt], list[psutil.Process]]] = {
    "worker": lambda attempt: attempt.part("RayTrainWorker")[:1],
    "head": lambda attempt: attempt.part("gcs_server"),
    "node": lambda attempt: attempt.part("raylet/raylet"),
    "driver": lambda attempt: [psutil.Process(attempt.process.pid)],
}


def checkpoints(folder: Path) -> list[Path]:
    return sorted((folder / ".work").glob("baseline@*/*/step-*"))


def disturbed(folder: Path, number: int) -> Path:
    """Make ready for the training of two workers as a tracked run of its own: `keep` changes no number."""
    change(folder, "baselines", KEY, kind="ray", workers=2)
    values = yaml.safe_load((folder / "params.yaml").read_text())
    values["baselines"][KEY]["training"]["keep"] = 50 + number
    write_params(folder, values)
    shutil.rmtree(folder / f".work/baseline@{KEY}", ignore_errors=True)
    return folder


def assert_nothing_lost(folder: Path, two: dict) -> None:
    found = weights_of(folder, MODEL)
    assert all(value.equal(two["weights"][name]) for name, value in found.items())
    assert read_history(folder / f"results/history/baseline-{KEY}.csv") == two["history"]
    keep = yaml.safe_load((folder / "params.yaml").read_text())["baselines"][KEY]["training"]["keep"]
    assert tracked_steps(folder, keep) == ("FINISHED", list(range(0, STEPS + 1, EVERY)))


@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_part_costs_nothing(suite, two, victim):
    folder = disturbed(suite, list(VICTIMS).index(victim))
    attempt = Attempt(folder, "baseline", KEY)
    wait_for(lambda: checkpoints(folder) and VICTIMS[victim](attempt))
    for process in VICTIMS[victim](attempt):
        process.kill()
    if victim == "worker":
        assert "start again from step" in attempt.finish()
    else:
        code = attempt.process.wait(PATIENCE)
        assert code != 0 or victim == "node", attempt.output  # a training may be done before Ray misses its node
        if code != 0:
            run(folder, "baseline", KEY)
    assert_nothing_lost(folder, two)


def test_twenty_kills_at_random_moments_lose_nothing(suite, two):
    chance, number = random.Random(0), 20
    folder = disturbed(suite, number)
    attempt = Attempt(folder, "baseline", KEY)
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.0, 25.0))  # a start takes some ten seconds
        if attempt.process.poll() == 0:
            assert_nothing_lost(folder, two)
            number += 1
            disturbed(suite, number)
        if attempt.process.poll() is not None:
            attempt = Attempt(folder, "baseline", KEY)
            time.sleep(chance.uniform(0.0, 25.0))
        for process in VICTIMS[chance.choice(list(VICTIMS))](attempt) or VICTIMS["driver"](attempt):
            process.kill()
    if attempt.process.wait(PATIENCE) != 0:
        run(folder, "baseline", KEY)
    assert_nothing_lost(folder, two)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_preempted_workers_save_and_go_on(suite, two, number):
    folder = disturbed(suite, 11 + (number == signal.SIGINT))
    attempt = Attempt(folder, "baseline", KEY)
    wait_for(lambda: checkpoints(folder))
    attempt.process.send_signal(number)
    assert "training was asked to end: step" in attempt.finish(EXIT_TEMPORARY)
    run(folder, "baseline", KEY)
    assert_nothing_lost(folder, two)


def test_codes_of_two_workers_are_a_whole_output(suite):
    change(suite, "latents", "di", kind="ray", workers=2)
    run(suite, "stage1", "di")
    assert (suite / "artifacts/latents/di/weights.safetensors").is_file()


def test_workers_train_a_system_of_the_suites_folder(tmp_path):
    values = tiny_values() | {"root": "."}
    values["baselines"][KEY]["family"] = "own"
    folder = make_suite(tmp_path / "suite", tmp_path / "suite", values, {"own.py": OWN_SYSTEM})
    run(folder, "data", "sawtooth")
    run(folder, "baseline", KEY)
    alone = weights_of(folder, MODEL)
    change(folder, "baselines", KEY, kind="ray")
    run(folder, "baseline", KEY)
    found = weights_of(folder, MODEL)
    assert all(value.equal(alone[name]) for name, value in found.items())


def test_cluster_that_is_not_there_is_named(suite):
    change(suite, "baselines", KEY, kind="ray", workers=2)
    output = run(suite, "baseline", KEY, code=1, RAY_ADDRESS="127.0.0.1:1")
    assert "RAY_ADDRESS is 127.0.0.1:1, where nothing answers" in output.splitlines()[-1]


def test_shared_out_samples_have_the_same_bytes(suite, inline):
    change(suite, "baselines", KEY)
    if not (suite / f"artifacts/models/{KEY}").is_dir():
        run(suite, "baseline", KEY)
    run(suite, "sample", "mdlm")
    samples = suite / "artifacts/samples/mdlm"
    alone = {path.name: file_hash(path) for path in samples.iterdir()}
    run(suite, "sample", "mdlm", LADD_WORKERS="2")
    assert {path.name: file_hash(path) for path in samples.iterdir()} == alone


def test_shared_out_latents_have_the_same_bytes(tmp_path):
    values = text_suite_values()
    values["run"]["latent_shard"] = 8  # more shards than workers
    write_assets(tmp_path)
    folder = make_suite(tmp_path, tmp_path / "suites/text", values)
    run(folder, "data", "text")
    run(folder, "encode", "bert")
    latents = folder / "artifacts/latents/bert"
    alone = {path.relative_to(latents): file_hash(path) for path in latents.rglob("*") if path.is_file()}
    assert sum(path.suffix == ".arrow" for path in alone) > 4
    run(folder, "encode", "bert", LADD_WORKERS="2")
    assert {path.relative_to(latents): file_hash(path) for path in latents.rglob("*") if path.is_file()} == alone
