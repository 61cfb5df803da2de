"""`ladd ablate`: what it prints, and with which exit code it ends."""

from __future__ import annotations

import subprocess

import pytest

from ladd.cli import main
from ladd.launch import ablation, run
from tests.builders import suite_values
from tests.stages.tiny import REPOSITORY, write_params

SMALL = ["--codebooks", "4", "--lengths", "1", "9", "--schedules", "joint", "--token-steps", "2", "--no-baselines"]


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A repository with a suite at its root; nothing in it runs."""
    write_params(tmp_path, suite_values() | {"root": "."})
    (tmp_path / "dvc.yaml").write_text((REPOSITORY / "dvc.yaml").read_text())
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_dry_run_prints_cells_reasons_changes_and_stages(suite, capsys):
    assert main(["ablate", "study", *SMALL, "--dry-run", "--stage2-steps", "3"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1 cell, 2 trainings:",
        "  di-L1-K4-joint",
        "left out:",
        "  di-L9-K4-joint: latents.discrete-L9-K4.length: L = 9 must be at most N = 8",
        "changed from the base suite:",
        "  models.di: steps: 6 -> 3, warmup: 2 -> 1",
        "  data.saw: reference: 40 -> 60",
        "8 stages:",
        *("  data@saw", "  stage1@discrete-L1-K4", "  stage2@di-L1-K4", "  sample@di-L1-K4-joint"),
        *("  bound@di-L1-K4", "  measure@di-L1-K4-joint", "  reference@saw", "  compare"),
    ]
    assert not (suite / "suites").exists()


def test_run_goes_through_dvc_from_anywhere_in_the_checkout_and_shows_the_table(suite, capsys, monkeypatch):
    (suite / "suites/study/results").mkdir(parents=True)
    (suite / "suites/study/results/compare.txt").write_text("the table\n")
    asked = []

    def run_ablation(root, grid, runner):
        asked.append((root, grid.lengths, runner))
        return root / "suites/study"

    monkeypatch.setattr(ablation, "run_ablation", run_ablation)
    monkeypatch.chdir(suite / "suites")
    assert main(["ablate", "study", *SMALL]) == 0
    assert asked == [(suite, [1, 9], run.repro)]
    output = capsys.readouterr().out
    assert output.startswith("1 cell, 2 trainings:\n")
    assert output.endswith(f"the table\n\nsuite and results: {suite}/suites/study\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["study", "--lengths", "1", "1"], "lengths [1, 1] has 1 twice"),
        (["study", "--codebooks", "1"], "argument --codebooks: 1: Input should be greater than or equal to 2"),
        (["study", "--lengths"], "argument --lengths: []"),
        (["study", "--schedules", "none"], "argument --schedules: invalid choice"),
        (["study", "--set", "seed"], "argument --set: 'seed' is not KEY=VALUE"),
        (["study", "--set", "x.rate=.5e3"], "write a number with a point, as 1.0e-3"),
        (["a/b"], "argument --name: 'a/b'"),
        ([], "NAME"),
    ],
)
def test_wrong_usage_is_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["ablate", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lengths", "9"], "no cell that makes sense"),
        (["--suite", "suites/none"], "is no folder with a params.yaml"),
        (["--discrete-model", "none"], "'none' is no model on discrete latents"),
        (["--set", "models.di.nothing=1"], "models.di has no 'nothing'"),
    ],
)
def test_grid_that_does_not_fit_its_suite_is_1(suite, arguments, message, capsys):
    assert main(["ablate", "study", *SMALL, "--dry-run", *arguments]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ladd: ")
    assert message in printed.err
