"""The benchmark runs to its end on a small suite; what it measures is not tested."""

import math
import re
import sys

import pytest
import torch

from benchmarks import measure, speed

SWEEPS = ["mdlm", "co-joint", "di-seq"]


@pytest.mark.parametrize("sweep", SWEEPS)
def test_every_ratio_is_printed(sweep, monkeypatch, capsys):
    options = ["--batch", "2", "--memory-batch", "2", "--budgets", "1", "3", "--dense-steps", "2", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["speed", ".", sweep, *options, "--device", "cpu", "--threads", "1"])
    speed.main()
    lines = capsys.readouterr().out.strip().splitlines()
    assert len([line for line in lines if re.search(r"(ratio|share) +\d", line)]) == len(lines) - 1 == 7
    scaled = [line for line in lines if "dense: 2 steps made" in line]
    assert len(scaled) == (0 if sweep == "di-seq" else 1)


def test_error_of_a_ratio_of_means():
    assert measure.ratio_error([2.0, 4.0], [1.0, 2.0]) == 0.0
    # Ratio 3 / 2, residuals (-0.5, 0.5): deviation 0.7071, over a mean of 2 and the root of 2.
    assert measure.ratio_error([1.0, 5.0], [1.0, 3.0]) == pytest.approx(0.25)
    assert math.isnan(measure.ratio_error([2.0], [1.0]))


def test_peak_is_the_most_that_is_held_at_once():
    def call() -> None:
        first = torch.empty(1000, 1000)
        del first
        second = torch.empty(500, 1000)
        third = torch.empty(250, 1000)
        del second, third

    assert measure.peak_bytes(call, torch.device("cpu")) == 4_000_000
