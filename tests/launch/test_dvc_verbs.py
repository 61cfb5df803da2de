"""DVC's commands on a fresh clone, in the folder of one suite of several (docs/dvc.md)."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.launch.project import write_project
from ladd.yaml_files import read_yaml
from tests.launch.repository import make_repository
from tests.stages.tiny import REPOSITORY, commit, environment, git

# As the pipeline of a suite is: stages from plan.json, weights in the cache, metrics and plots in git.
STAGES = """\
vars: [plan.json]
stages:
  train:
    foreach: ${plan.train}
    do:
      cmd: >-
        mkdir -p artifacts results && echo ${item.width} > artifacts/${key} &&
        echo '{"loss": ${item.width}}' > results/${key}.json &&
        printf 'step,loss\\n1,${item.width}\\n' > results/${key}.csv
      deps: [input]
      params: ["plan.json": ["plan.train.${key}"]]
      outs: ["artifacts/${key}"]
      metrics: ["results/${key}.json": {cache: false}]
      plots: ["results/${key}.csv": {cache: false, x: step, y: loss}]
"""
MINE = Path("suites/mine")


def run(folder: Path, *arguments: str, code: int = 0) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    process = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert process.returncode == code, process.stdout + process.stderr
    return process.stdout


def write_suite(folder: Path, key: str, width: int) -> None:
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "input").write_text("given")
    (folder / "plan.json").write_text(json.dumps({"plan": {"train": {key: {"width": width}}}}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A repository where the suites `.` and `mine` have run, all committed but the cache, which they share."""
    root = make_repository(tmp_path_factory.mktemp("finished") / "repository", STAGES)
    (root / MINE).mkdir(parents=True)
    write_project(root, root / MINE)
    for folder, key, width in ((root, "first", 1), (root / MINE, "mine", 2)):
        write_suite(folder, key, width)
        run(folder, "repro", "--quiet")
    assert len(list((root / ".dvc/cache/runs").glob("*/*"))) == 2  # what ran is remembered for all
    assert not (root / MINE / ".dvc/cache").exists()
    commit(root)
    return root


@pytest.fixture
def clone(finished, tmp_path) -> Path:
    git(tmp_path, "clone", "--quiet", str(finished), "clone")
    return tmp_path / "clone"


def test_status_and_graph_are_of_the_suite_of_the_folder(clone):
    missing = [{"changed outs": {"artifacts/mine": "not in cache"}}]
    assert json.loads(run(clone / MINE, "status", "--json")) == {"train@mine": missing}
    graph = run(clone, "dag", "--mermaid")
    assert "train@first" in graph
    assert "train@mine" not in graph
    assert git(clone, "status", "--porcelain") == ""


def test_suite_without_a_plan_stops_no_other(clone):
    (clone / "suites/broken").mkdir()
    (clone / "suites/broken/dvc.yaml").write_text(STAGES)
    write_project(clone, clone / "suites/broken")
    run(clone / "suites/broken", "status", code=1)
    assert list(json.loads(run(clone, "status", "--json"))) == ["train@first"]


def test_differences_to_a_commit_are_those_that_were_made(clone):
    folder = clone / MINE
    for what in ("params", "metrics"):
        assert json.loads(run(folder, what, "diff", "--json")) == {}
    write_suite(folder, "mine", 5)
    (folder / "results/mine.json").write_text('{"loss": 5}')
    (folder / "results/mine.csv").write_text("step,loss\n1,5\n")
    changed = {"old": 2, "new": 5, "diff": 3}
    found = json.loads(run(folder, "params", "diff", "--json"))
    assert found == {"plan.json": {"plan.train.mine.width": changed}}
    found = json.loads(run(folder, "metrics", "diff", "--json"))
    assert found == {"results/mine.json": {"loss": changed}}
    found = json.loads(run(folder, "plots", "diff", "--json"))["data"]
    assert found.keys() == {"results/mine.csv"}
    assert {row["loss"] for row in found["results/mine.csv"][0]["content"]["data"]["values"]} == {"2", "5"}


def test_what_one_checkout_pushes_another_pulls(finished, clone, tmp_path):
    for root in (finished, clone):
        run(root, "remote", "add", "--local", "--force", "--default", "store", str(tmp_path / "store"))
        write_project(root, root / MINE)
        run(root / MINE, "push" if root is finished else "pull")
    assert (clone / MINE / "artifacts/mine").read_text() == "2\n"
    assert json.loads(run(clone / MINE, "status", "--json")) == {}
    assert not (clone / "artifacts/first").exists()


@pytest.mark.slow
def test_experiment_runs_its_suite_and_is_shown(clone):
    run(clone / MINE, "exp", "run", "--name", "seven", "--set-param", "plan.json:plan.train.mine.width=7")
    assert (clone / MINE / "artifacts/mine").read_text() == "7\n"
    assert (clone / MINE / "results/mine.json").read_text() == '{"loss": 7}\n'
    shown = list(csv.DictReader(run(clone / MINE, "exp", "show", "--csv").splitlines()))
    (seven,) = [row for row in shown if row["Experiment"] == "seven"]
    assert [value for column, value in seven.items() if column.endswith("plan.train.mine.width")] == ["7"]
    assert not [column for row in shown for column in row if "first" in column]  # of the suite at the root


def test_axes_of_plots_are_columns_of_the_results():
    stages = read_yaml(REPOSITORY / "dvc.yaml")["stages"]
    plots = {
        path: axes
        for stage in stages.values()
        for each in stage.get("do", stage).get("plots", [])
        for path, axes in each.items()
        if path.endswith(".csv")
    }
    assert "results/loss_by_time/${key}.csv" in plots
    for path, axes in plots.items():
        found = list(REPOSITORY.glob(path.replace("${key}", "*")))
        assert found or "stage1-" in path or "prior-" in path, path
        for file in found:
            columns = file.read_text().partition("\n")[0].split(",")
            assert {axes["x"], axes["y"]} <= {*columns}, file
