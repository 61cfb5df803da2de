"""Speed of a training: what the clock says, and nothing of it in the history."""

from __future__ import annotations

import pytest
import torch

from ladd.training import pace as module
from ladd.training.executor import InlineContext
from ladd.training.pace import Pace, publish_pace
from tests.training.workers import mdlm, trainer

RATE = "speed/tokens_per_second"


def test_rates_are_those_of_the_steps_since_the_last_row(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    pace = Pace(64, torch.device("cpu"))
    assert pace.row(10, 7.0) == {}  # a resumed run
    for step, steps, seconds, waited, share in ((20, 10, 5.0, 8.0, 0.2), (25, 5, 10.0, 8.0, 0.0)):
        now[0] += seconds
        found = pace.row(step, waited)
        assert found[RATE] == pytest.approx(steps * 64 / seconds)
        assert found["speed/share_waiting_for_data"] == pytest.approx(share)
        assert 10 < found["speed/peak_memory"] < 10**6
    assert pace.row(25, 8.0) == {}


def test_speed_is_published_of_steps_that_were_trained_and_is_in_no_history(tmp_path):
    rows: list[dict[str, float]] = []
    first = trainer(mdlm, InlineContext(tmp_path, rows.append), steps=6)
    publish_pace(first)
    first.train()
    assert [RATE in row for row in rows] == [False, True, True, True]
    assert all(not any(name.startswith("speed/") for name in row) for row in first.history)
    assert first.batches.waited > 0
    rows.clear()
    second = trainer(mdlm, InlineContext(tmp_path, rows.append))
    publish_pace(second)
    second.train()
    assert [row["step"] for row in rows if RATE in row] == [8, 10, 12]
    assert [row["step"] for row in rows] == [0, 2, 4, 6, 8, 10, 12]
