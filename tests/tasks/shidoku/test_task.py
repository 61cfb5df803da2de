"""The task of grids: its splits, its words, what it refuses, and the rows that models are held against."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ladd.config import check_suite, load_suite
from ladd.errors import ConfigError
from ladd.evaluation.rows import Row
from ladd.launch.overrides import read_values
from ladd.metrics.base import Values
from ladd.tasks import Task, task_of
from ladd.tasks.shidoku import draw_grids, draw_rounds
from ladd.tasks.shidoku.grids import all_grids

PARAMS = Path(__file__).resolve().parents[3] / "suites/shidoku/params.yaml"


def values() -> dict:
    found = read_values(PARAMS)
    found["evaluation"] |= {"sequences": 32, "reference": {"token_steps": [1, 8], "samples": 40, "seeds": [0, 1]}}
    found["data"]["shidoku"] |= {"train": 576, "validation": 300, "reference": 160}
    for sweep in found["sweeps"].values():
        sweep |= {"samples": 40, "seeds": [0, 1]}
    return found | {"claims": {}}


@pytest.fixture
def task(tmp_path, monkeypatch) -> Task:
    monkeypatch.chdir(tmp_path)
    found = task_of(check_suite(values(), "params.yaml"), "shidoku")
    found.build(found.folder)
    return found


def numbers(rows: torch.Tensor) -> list[int]:
    known = {tuple(grid): number for number, grid in enumerate(all_grids().tolist())}
    return [known[tuple(row)] for row in rows.tolist()]


def test_splits_hold_every_grid_equally_often(task):
    train, validation = (numbers(task.rows(split)[:]) for split in ("train", "validation"))
    assert np.bincount(train, minlength=288).tolist() == [2] * 288
    assert sorted(train[:288]) == list(range(288))  # in rounds
    assert sorted(validation[:288]) == list(range(288))
    assert train[:288] != validation[:288]


def test_real_sequences_are_independent_draws(task):
    found = np.bincount(numbers(task.rows("reference")[:]), minlength=288)
    assert found.sum() == 160
    assert found.max() > 1  # rounds would show no grid twice
    assert np.array_equal(draw_grids(50, 0, "a"), draw_grids(50, 0, "a"))
    assert not np.array_equal(draw_grids(50, 0, "a"), draw_grids(50, 1, "a"))
    assert not np.array_equal(draw_rounds(50, 0, "a"), draw_rounds(50, 0, "b"))


def test_grids_are_written_in_rows_of_digits_and_read_again(task):
    grid = all_grids()[5].tolist()
    text = task.decode(grid)
    assert [len(part) for part in text.split()] == [4, 4, 4, 4]
    assert set(text) == set("1234 ")
    assert task.encode(text) == grid
    assert task.decode([4, 0, 4]) == "1"  # a mask leaves nothing
    with pytest.raises(ConfigError, match=r"\['0', '5'\] are no tokens of this data"):
        task.encode("1502")


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("data", "shidoku", "tokens"), 81, "a grid has 16 cells"),
        (("data", "shidoku", "reference"), 159, "need twice as many real sequences"),
        (("data", "shidoku", "validation"), 31, r"evaluation\.sequences: 32 must be at most data\.shidoku\.validation"),
        (("evaluation", "reference", "token_steps"), [17], "17 must be at most N = 16"),
    ],
)
def test_settings_that_do_not_fit_are_refused(place, value, message):
    changed = values()
    block = changed
    for name in place[:-1]:
        block = block[name]
    block[place[-1]] = value
    with pytest.raises(ConfigError, match=message):
        check_suite(changed, "params.yaml")


def test_reference_rows_are_exact_and_beside_them_real_data(task, tmp_path):
    rows, shown = task.reference_rows(Row("shidoku", model="", family=""), Values(tmp_path / "values", {}))
    found = {(row.model, row.metric, row.token_steps, row.seed): row for row in rows}
    assert len(found) == len(rows)
    at_one = found["exact-shidoku", "grid_validity", 1, None]
    assert (at_one.value, at_one.stderr, at_one.n, at_one.nfe) == (pytest.approx(288 / 4**16), 0, 40, 1)
    assert found["exact-shidoku", "grid_validity", 8, None].value == pytest.approx(0.37956, abs=1e-5)
    assert found["perfect-shidoku", "grid_validity", None, None].value == pytest.approx(1)
    of_law = found["exact-shidoku", "law_total_variation", 8, None].value
    assert found["exact-shidoku", "grid_total_variation", 8, None].value > of_law  # samples are further off
    entropy, bound = (found["exact-shidoku", name, None, None] for name in ("entropy_rate", "token_elbo"))
    assert entropy.value == pytest.approx(np.log(288) / 16)
    assert abs(bound.value - entropy.value) < 4 * bound.stderr
    for seed in (0, 1):
        assert found["real-shidoku", "grid_validity", None, seed].value == 1
    assert {row.evaluator_version for row in rows if row.metric == "grid_validity"} == {"1"}
    assert len(shown[0]["items"]) == 4


def test_suite_has_exact_rows_for_every_budget_of_its_sweeps():
    suite = load_suite(PARAMS)
    budgets = {steps for sweep in suite.sweeps.values() for steps in sweep.token_steps}
    assert budgets <= set(suite.evaluation.reference.token_steps)
