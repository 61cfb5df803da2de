"""Bounds of a set of sequences are computed once for all runs of a stage that cannot change them."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ladd.evaluation.bounds import BoundSettings
from ladd.stages.bound import remembered

X = torch.arange(12).view(3, 4)
TASK: Any = SimpleNamespace(bound_settings=BoundSettings(4, 16, 7))
SWEEP: Any = SimpleNamespace(inference="joint")


class Counted:
    """Bounds that count how often they are computed."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, x: torch.Tensor, token_only: bool = False) -> dict[str, torch.Tensor]:
        self.calls += 1
        return {"token_elbo": x.double().mean(dim=1) / 3}


def stage(code: str = "a", weights: str = "w", corpora: str = "z") -> Any:
    files = {"artifacts/models/m": weights, "artifacts/data/d/zero_shot": corpora}
    return SimpleNamespace(key="m", declaration=SimpleNamespace(entry={"code": code, "evaluation": {}}, files=files))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_second_run_reads_what_the_first_computed_to_the_last_digit():
    bounds = Counted()
    first = remembered(stage(), TASK, SWEEP, bounds)(X)["token_elbo"]
    second = remembered(stage(), TASK, SWEEP, bounds)(X)["token_elbo"]
    assert bounds.calls == 1
    assert torch.equal(first, second)
    assert torch.equal(first, X.double().mean(dim=1) / 3)


def test_another_corpus_computes_its_own_sequences_alone():
    bounds = Counted()
    remembered(stage(corpora="one"), TASK, SWEEP, bounds)(X)
    later = remembered(stage(corpora="two"), TASK, SWEEP, bounds)
    later(X)
    later(X + 1)
    assert bounds.calls == 2


@pytest.mark.parametrize("changed", [stage(code="b"), stage(weights="v")])
def test_other_code_or_weights_compute_again(changed):
    bounds = Counted()
    remembered(stage(), TASK, SWEEP, bounds)(X)
    remembered(changed, TASK, SWEEP, bounds)(X)
    assert bounds.calls == 2


def test_the_token_term_alone_is_another_result():
    bounds = Counted()
    kept = remembered(stage(), TASK, SWEEP, bounds)
    kept(X)
    kept(X, token_only=True)
    assert bounds.calls == 2
