"""Launches with settings changed: what is refused, what runs where, and what is left."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import yaml

from ladd.errors import ConfigError, StageError
from ladd.launch.overrides import apply_overrides, launch_overrides, plan_overrides
from ladd.launch.pipeline import write_pipeline
from tests.builders import suite_values, text_suite_values
from tests.launch.repository import Recorder, trees_of
from tests.stages.tiny import git, write_params

CHANGE = {"sweeps.di-seq.temperature": 0.5}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"sweeps.di-sec.temperature": 0.9}, r"sweeps has no 'di-sec'; the nearest are \['di-seq'"),
        ({"sweeps.di-seq.temprature": 0.9}, r"sweeps\.di-seq has no 'temprature'; the nearest are \['temperature'"),
        ({"sweps.di-seq.temperature": 0.9}, r"params\.yaml has no 'sweps'; the nearest are \['sweeps'"),
        ({"compute.xyz": 1}, r"compute has no 'xyz'; the nearest are \['device', 'threads'\]"),
        ({"sweeps.di-seq.frontier.token_steps": [1]}, r"sweeps\.di-seq\.frontier is None and has no keys"),
        ({"sweeps.di-seq.seeds.0": 1}, r"sweeps\.di-seq\.seeds is \[0, 1\] and has no keys"),
        ({"sweeps.di-seq.temperature": "warm"}, r"sweeps\.di-seq\.temperature: 'warm'"),
        ({"sweeps.di-seq.temperature": 0}, "greater than or equal to 0.001"),
        ({"sweeps.di-seq.model": "none"}, "'none' is not defined"),
        ({"latents.discrete.length": 9}, "L = 9 must be at most N = 8"),
        ({"sweeps.di-seq.token_lag": math.inf}, r"sweeps\.di-seq\.token_lag: inf: Input should be a finite number"),
        ({"evaluation.grid": 10**30}, r"evaluation\.grid: 1000.*less than or equal to"),
        ({"root": "."}, "a launch cannot change it"),
        ({"suite": "other"}, "a launch cannot change it"),
    ],
)
def test_wrong_override_is_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        apply_overrides(suite_values(), overrides, "the suite")


def test_overrides_change_what_they_name_and_nothing_else():
    values = suite_values()
    frontier = {"token_steps": [2], "temperatures": [0.8]}
    changed = apply_overrides(values, {"sweeps.di-seq.frontier": frontier, "seed": 7}, "the suite")
    expected = suite_values() | {"seed": 7}
    expected["sweeps"]["di-seq"]["frontier"] = frontier
    expected["evaluation"]["metrics"] = {}
    assert changed == expected
    assert values == suite_values()


def test_key_that_the_suite_leaves_out_can_be_given():
    values = text_suite_values()
    del values["data"]["text"]["train"]["documents"]
    assert apply_overrides(values, {"data.text.train.documents": 3}, "")["data"]["text"]["train"]["documents"] == 3


def test_plan_names_the_launch_by_its_overrides_and_shows_the_difference(repository):
    plan = plan_overrides(repository, Path(), CHANGE)
    assert plan.difference == ["sweeps.di-seq.temperature: 1.0 -> 0.5"]
    assert plan.name.startswith("tiny-")
    assert len(plan.name) == len("tiny-") + 8
    assert plan_overrides(repository, Path(), CHANGE).name == plan.name
    assert plan_overrides(repository, Path(), {"sweeps.di-seq.temperature": 0.6}).name != plan.name
    assert plan_overrides(repository, Path(), CHANGE, name="mine").name == "mine"


@pytest.mark.parametrize("name", ["", "../mine", "a/b", ".mine", "n" * 101, "mine\n", "é"])
def test_name_that_is_no_name_of_a_folder_is_refused(repository, name):
    with pytest.raises(ConfigError, match=r"^--name .*: write letters"):
        plan_overrides(repository, Path(), CHANGE, name=name)


def test_launch_that_changes_nothing_is_refused(repository):
    with pytest.raises(ConfigError, match="has these values already"):
        plan_overrides(repository, Path(), {"seed": 1})


def launch(root, folder, changes, run, name=None):
    return launch_overrides(root, folder, plan_overrides(root, folder, changes, name=name), run)


def test_launch_runs_apart_and_leaves_its_results_for_reading(repository):
    (repository / "results").mkdir()
    (repository / "results/compare.txt").write_text("the suite's own\n")
    before = git(repository, "status", "--porcelain")
    run = Recorder()
    result = launch(repository, Path(), CHANGE, run)
    ((folder, environment, values, found),) = run.calls
    assert folder == repository / ".work/trees" / result.name
    assert environment["LADD_LAUNCH"] == result.name
    assert values["sweeps"]["di-seq"]["temperature"] == 0.5
    assert found == ["compare.txt"]  # what the suite has is not made again
    assert result.parent == repository / ".work/launches"
    assert (result / "results/compare.txt").read_text() == "a table\n"
    assert yaml.safe_load((result / "params.yaml").read_text()) == values
    assert (repository / "results/compare.txt").read_text() == "the suite's own\n"
    assert git(repository, "status", "--porcelain") == before
    assert trees_of(repository) == []


def test_launch_of_a_suite_that_is_not_committed(repository):
    write_suite = repository / "suites/new"
    write_suite.mkdir(parents=True)
    write_params(write_suite, suite_values() | {"suite": "new"})
    write_pipeline(repository, write_suite)
    run = Recorder()
    launch(repository, write_suite, CHANGE, run, name="mine")
    assert run.calls[0][0] == repository / ".work/trees/mine/suites/new"
    assert run.calls[0][3] == []


def test_failed_launch_leaves_nothing_but_its_worktree_and_goes_on_there(repository):
    with pytest.raises(StageError):
        launch(repository, Path(), CHANGE, Recorder(fails=True), name="mine")
    assert not (repository / ".work/launches").exists()
    (repository / ".work/trees/mine/results/stage1.json").write_text("{}")
    run = Recorder()
    launch(repository, Path(), CHANGE, run, name="mine")
    assert run.calls[0][3] == ["compare.txt", "stage1.json"]


def test_wrong_override_runs_nothing(repository):
    run = Recorder()
    with pytest.raises(ConfigError):
        launch(repository, Path(), {"sweeps.di-seq.model": "none"}, run)
    assert run.calls == []
    assert not (repository / ".work").exists()
