"""Two checkouts are compared to the end; what is measured is not tested."""

import math
import re
import shutil
import subprocess
import sys

import pytest

from benchmarks.checkouts import ratio
from tests.stages.tiny import REPOSITORY, environment, make_suite, run_here


def test_ratio_leaves_out_what_the_order_does():
    # A side is 1.5 times as slow, and whoever is built first another 1.1 times.
    forward, backward = [math.log(1.5 * 1.1)] * 2, [math.log(1.1 / 1.5)] * 2
    assert ratio(forward, backward) == pytest.approx((1.5, 0.0))


def test_error_is_that_of_the_mean_over_pairs_of_processes():
    # Half differences 0.1 and 0.3: deviation 0.1414, over the root of 2.
    value, error = ratio([0.1, 0.5], [-0.1, -0.1])
    assert (value, error) == pytest.approx((math.exp(0.2), math.exp(0.2) * 0.1))


def test_training_and_samples_of_two_checkouts_take_turns(tmp_path, monkeypatch):
    after = make_suite(tmp_path / "after", tmp_path / "after")
    monkeypatch.chdir(after)
    run_here("data", "sawtooth")
    run_here("baseline", "mdlm")
    shutil.copytree(after, tmp_path / "before")
    command = [sys.executable, "-m", "benchmarks.checkouts", tmp_path / "before", after, "--pairs", "2"]
    stages = ["--stages", "baseline@mdlm", "sample@mdlm", "--seconds", "0.01"]
    run = subprocess.run([*command, *stages], cwd=REPOSITORY, env=environment(), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    samples = [f"sample@mdlm steps-{steps}-temperature-1" for steps in (1, 2)]
    assert [line.partition(":")[0] for line in lines] == ["baseline@mdlm", *samples]
    assert all(re.search(r": before over after [0-9.]+ \+- [0-9.]+$", line) for line in lines)
