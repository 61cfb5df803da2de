"""An ablation from grid to suites/NAME: what runs, where, and that it does not run twice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ladd.config import load_suite
from ladd.errors import ConfigError, StageError
from ladd.launch.ablation import preview, run_ablation
from ladd.launch.grid import Grid
from ladd.launch.pipeline import HEADER
from ladd.launch.run import repro
from tests.launch.repository import PIPELINE, Recorder, trees_of
from tests.stages.tiny import commit, copy_dvc, git, make_suite

GRID = Grid(name="study", lengths=[1, 2], codebooks=[4], token_steps=[1, 2], seeds=[0], baselines=False)
STUDY = Path("suites/study")


def test_preview_counts_and_writes_nothing(repository):
    expansion = preview(repository, GRID)
    assert [cell.model for cell in expansion.cells] == ["di-L1-K4", "di-L1-K4", "di-L2-K4", "di-L2-K4"]
    assert expansion.trainings == 4
    assert git(repository, "status", "--porcelain", "--ignored") == ""


def test_ablation_is_a_suite_that_ran_in_its_worktree_and_is_ready_to_commit(repository):
    run = Recorder()
    result = run_ablation(repository, GRID, run)
    ((folder, environment, values, found),) = run.calls
    assert folder == repository / ".work/trees/study" / STUDY
    assert environment["PYTHONPATH"] == str(repository / ".work/trees/study")
    assert "LADD_LAUNCH" not in environment
    assert found == []
    assert result == repository / STUDY
    assert values == preview(repository, GRID).values
    assert load_suite(repository / STUDY / "params.yaml").suite == "study"
    assert (repository / STUDY / "dvc.yaml").read_text() == HEADER + PIPELINE
    assert (repository / STUDY / "results/compare.txt").read_text() == "a table\n"
    assert trees_of(repository) == []
    commit(repository)
    committed = git(repository, "show", "--name-only", "--format=").splitlines()
    files = (".dvc/.gitignore", ".dvc/config", ".dvcignore")
    files += ("dvc.lock", "dvc.yaml", "params.yaml", "plan.json", "results/compare.txt")
    assert committed == [f"{STUDY}/{name}" for name in files]


def test_second_run_starts_from_the_results_of_the_first(repository):
    run = Recorder()
    run_ablation(repository, GRID, run)
    first = (repository / STUDY / "params.yaml").read_bytes()
    run_ablation(repository, GRID, run)
    assert [found for *_, found in run.calls] == [[], ["compare.txt"]]
    assert (repository / STUDY / "params.yaml").read_bytes() == first


def test_name_of_another_suite_is_refused_with_the_difference(repository):
    run = Recorder()
    run_ablation(repository, GRID, run)
    other = GRID.model_copy(update={"seeds": [1]})
    with pytest.raises(ConfigError, match=r"another suite already; choose another name[\s\S]*seeds: \[0\] -> \[1\]"):
        run_ablation(repository, other, run)
    assert len(run.calls) == 1


def test_failed_ablation_leaves_the_main_tree_alone_and_goes_on(repository):
    with pytest.raises(StageError) as caught:
        run_ablation(repository, GRID, Recorder(fails=True))
    assert ".work/trees/study is kept" in caught.value.__notes__[0]
    assert not (repository / "suites").exists()
    run = Recorder()
    run_ablation(repository, GRID, run)
    assert run.calls[0][3] == ["compare.txt"]
    assert (repository / STUDY / "results/compare.txt").is_file()


def test_wrong_grid_runs_nothing(repository):
    run = Recorder()
    with pytest.raises(ConfigError, match="no cell that makes sense"):
        run_ablation(repository, GRID.model_copy(update={"lengths": [99]}), run)
    assert run.calls == []
    assert not (repository / ".work").exists()


@pytest.mark.slow
def test_ablation_of_length_codes_and_schedule_trains_once_and_runs_the_code_of_its_worktree(tmp_path, capsys):
    repository = tmp_path / "repository"
    make_suite(repository, repository, {"root": "."})
    copy_dvc(repository)
    with (repository / "ladd/stages/__init__.py").open("a") as code:
        code.write("\nprint(f'code of {__file__}')\n")
    commit(repository)
    grid = GRID.model_copy(update={"codebooks": [16, 4], "seeds": [0, 1]})

    run_ablation(repository, grid, repro)
    cells = preview(repository, grid).cells
    output = capsys.readouterr().out
    ran = re.findall(r"Running stage '([^']+)'", output)
    assert len(ran) == len(set(ran)) == 1 + 4 + 4 + 8 + 8 + 1 + 1
    assert set(re.findall(r"code of (.*)", output)) == {f"{repository}/.work/trees/study/ladd/stages/__init__.py"}
    results = repository / STUDY / "results"
    evaluated = {path.stem for path in (results / "evaluate").glob("*.csv")}
    assert evaluated == {cell.name for cell in cells} | {"reference-sawtooth"}
    assert len(cells) == 8
    table = (results / "compare.csv").read_bytes()
    lock = (repository / STUDY / "dvc.lock").read_bytes()
    assert yaml.safe_load(lock)["stages"].keys() == set(ran)

    run_ablation(repository, grid, repro)
    assert re.findall(r"Running stage '([^']+)'", capsys.readouterr().out) == []
    assert (results / "compare.csv").read_bytes() == table
    assert (repository / STUDY / "dvc.lock").read_bytes() == lock
    assert trees_of(repository) == []
