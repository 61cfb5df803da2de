"""`ladd launch`: the difference comes first, and nothing runs that is wrong; and how commands end."""

from __future__ import annotations

import subprocess

import pytest

from ladd.cli import INTERRUPTED, main
from ladd.errors import StageError
from ladd.launch import overrides, run
from tests.builders import suite_values
from tests.stages.tiny import write_params

CHANGE = "sweeps.di-seq.temperature=0.5"


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """A repository with a suite in a folder; nothing in it runs."""
    folder = tmp_path / "suites/tiny"
    folder.mkdir(parents=True)
    write_params(folder, suite_values())
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    monkeypatch.chdir(tmp_path)
    return folder


def test_dry_run_prints_the_difference(suite, capsys):
    arguments = [
        "suites/tiny",
        CHANGE,
        "sweeps.mdlm.frontier={token_steps: [2], temperatures: [0.5]}",
        "--name",
        "mine",
    ]
    assert main(["launch", *arguments, "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "launch mine:",
        '  sweeps.mdlm.frontier: null -> {"token_steps": [2], "temperatures": [0.5]}',
        "  sweeps.di-seq.temperature: 1.0 -> 0.5",
    ]
    assert not (suite.parents[1] / ".work").exists()


def test_difference_comes_before_the_run_and_the_table_after(suite, capsys, monkeypatch):
    (suite / "results").mkdir()
    (suite / "results/compare.txt").write_text("the table\n")

    def launch(root, folder, plan, runner):
        print(f"running {plan.difference} in {folder.relative_to(root)}")
        assert runner is run.repro
        return folder

    monkeypatch.setattr(overrides, "launch_overrides", launch)
    monkeypatch.chdir(suite)
    assert main(["launch", ".", CHANGE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("launch tiny-")
    assert lines[1:] == [
        "  sweeps.di-seq.temperature: 1.0 -> 0.5",
        "running ['sweeps.di-seq.temperature: 1.0 -> 0.5'] in suites/tiny",
        "the table",
        "",
        f"suite and results: {suite}",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([CHANGE.replace("temperature", "temprature")], "the nearest are ['temperature'"),
        (["sweeps.di-seq.temperature=1.0"], "has these values already"),
        (["seed=x"], "seed: 'x'"),
        (["seed=.nan"], "seed: nan"),
        (["sweeps.di-seq.temperature=.inf"], "sweeps.di-seq.temperature: inf: Input should be a finite number"),
        (["seed=0x" + "f" * 6000], "seed: an integer of thousands of digits"),
        (["--name", "../mine", CHANGE], "--name '../mine': write letters"),
    ],
)
def test_wrong_change_is_1(suite, arguments, message, capsys):
    assert main(["launch", "suites/tiny", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_folder_with_a_name_that_no_folder_can_have_is_1(capsys):
    assert main(["launch", "n" * 300, CHANGE]) == 1
    assert "is no folder; name that of a suite" in capsys.readouterr().err


def test_wrong_usage_is_2(capsys):
    broken = [[".", "seed=" + "[" * 5000], [".", "seed=" + "9" * 5000], [".", "seed=!!timestamp x"]]
    for arguments in (["."], [".", "seed"], [".", "=1"], [".", "seed=[1"], [".", "seed=.5e3"], *broken):
        with pytest.raises(SystemExit) as caught:
            main(["launch", *arguments])
        assert caught.value.code == 2
    assert "1.0e-3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "first"),
    [
        (StageError("stage2@di", ["no memory"]), 1, "ladd: stage2@di failed; its last lines of output:"),
        (KeyboardInterrupt(), INTERRUPTED, "ladd: interrupted"),
    ],
)
def test_message_of_an_error_has_its_notes(suite, monkeypatch, capsys, error, code, first):
    def launch(*_, **__):
        error.add_note("the worktree is kept")
        raise error

    monkeypatch.setattr(overrides, "launch_overrides", launch)
    assert main(["launch", "suites/tiny", CHANGE]) == code
    lines = capsys.readouterr().err.splitlines()
    assert (lines[0], lines[-1]) == (first, "the worktree is kept")
