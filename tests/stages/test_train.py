"""The checkpoints of a training that its output keeps: all of them, or an error."""

from __future__ import annotations

from pathlib import Path

import pytest

from ladd.errors import TrainingError
from ladd.stages.train import _keep_checkpoints
from ladd.training.checkpoint import AVERAGE


@pytest.fixture
def work(tmp_path) -> Path:
    """Resume state with four checkpoints."""
    for step in (3, 6, 9, 12):
        folder = tmp_path / "work" / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / AVERAGE).write_text(f"of step {step}")
    return tmp_path / "work"


def test_kept_steps_are_copied_and_no_others(work, tmp_path):
    _keep_checkpoints(work, {12, 6}, tmp_path / "checkpoints")
    assert {path.name: path.read_text() for path in (tmp_path / "checkpoints").iterdir()} == {
        "step-00000006.safetensors": "of step 6",
        "step-00000012.safetensors": "of step 12",
    }


@pytest.mark.parametrize("folder", [False, True])
def test_step_that_is_missing_is_an_error_and_not_left_out(work, tmp_path, folder):
    (work / "step-00000006" / AVERAGE).unlink()
    if folder:
        (work / "step-00000006").rmdir()
    with pytest.raises(TrainingError, match=rf"{work} lacks the averaged weights of steps 6, .* trains anew"):
        _keep_checkpoints(work, {12, 6}, tmp_path / "checkpoints")
    assert not (tmp_path / "checkpoints").exists()
