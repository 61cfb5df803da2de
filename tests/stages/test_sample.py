"""Timing of samples: alone on the machine, after a batch that is thrown away."""

import contextlib
import fcntl
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ladd.config import load_suite
from ladd.errors import SamplingError
from ladd.samplers.base import Sampler, Samples
from ladd.stages import sample
from ladd.stages.runtime import execute
from ladd.systems.co_ladd import CoLadd

RESULT = Path("results/seconds/co-seq.json")


def others_may_run(folder: Path) -> bool:
    """Whether another stage of the repository could start now."""
    [path] = (folder / load_suite().root / ".work").glob("machine-*.lock")
    with path.open("a") as file, contextlib.suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    return False


class Spy:
    """A model whose samplers give zeros, and note how they were called."""

    def __init__(self, folder: Path, value: int = 0):
        self.folder, self.value, self.calls, self.alone = folder, value, [], []

    def draw(self, sampler: Sampler, start: torch.Tensor, seed: int, batch: int) -> Samples:
        for rows in start.split(batch):
            self.calls.append((len(rows), sampler))
            self.alone.append(not others_may_run(self.folder))
        zeros = torch.zeros(len(start), dtype=torch.long)
        return Samples(torch.full_like(start, self.value), zeros, zeros)


@pytest.fixture
def spy(suite, monkeypatch) -> Spy:
    spy = Spy(suite)
    monkeypatch.setattr(sample, "load_sampled", lambda *arguments: SimpleNamespace(denoiser=None, prior=None))
    monkeypatch.setattr(sample, "sample_in_batches", spy.draw)
    monkeypatch.setattr("ladd.tasks.base.Task.check_real", lambda self: None)  # there is no data
    monkeypatch.setattr("ladd.stages.runtime.check_outputs", lambda paths: None)
    monkeypatch.setattr("ladd.stages.declaration.Declaration.files", {})
    monkeypatch.setattr("ladd.stages.declaration.Declaration.fingerprint", lambda self: "0" * 64)
    return spy


def test_one_short_batch_is_thrown_away_before_the_first_timed_one(spy):
    execute("sample", "co-seq", sample.main)
    (rows, options), *timed = spy.calls
    assert (rows, options.token_steps, options.latent_steps) == (16, 1, 2)
    # Two budgets and two seeds of 32 samples, 16 at a time.
    assert [(rows, options.token_steps) for rows, options in timed] == [(16, 1)] * 4 + [(16, 2)] * 4
    assert {options.latent_steps for _, options in timed} == {3}
    assert sorted(json.loads(RESULT.read_text())["seconds_per_sequence"]) == [
        f"steps-{steps}-temperature-1-seed-{seed}" for steps in (1, 2) for seed in (0, 1)
    ]


def test_samples_that_keep_the_mask_are_refused_and_not_kept(spy):
    spy.value = 2
    with pytest.raises(
        SamplingError, match=r"sample@co-seq, steps-1-temperature-1-seed-0: 32 of 32 samples still hold"
    ):
        execute("sample", "co-seq", sample.main)
    assert not RESULT.exists()
    assert not list(Path(".work/sample@co-seq").rglob("*.npy"))


def test_samples_that_are_timed_share_no_rows(spy, monkeypatch):
    asked, source_of = [], CoLadd.source_of
    monkeypatch.setattr(CoLadd, "source_of", lambda *given, **asks: asked.append(asks) or source_of(*given, **asks))
    execute("sample", "co-seq", sample.main)
    assert {each["share_rows"] for each in asked} == {False}


def test_no_other_stage_runs_while_samples_are_timed(spy, suite):
    execute("sample", "co-seq", sample.main)
    assert spy.alone == [True] * 9
    assert others_may_run(suite)


def test_other_stages_run_together_and_keep_timing_out(suite):
    def body(stage) -> None:
        assert others_may_run(suite)
        [path] = (suite / load_suite().root / ".work").glob("machine-*.lock")
        with path.open("a") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    execute("data", "sawtooth", body)
