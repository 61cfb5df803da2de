"""`make try`: the tiny suite runs in its own folder, says what it is, and leaves git as it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.config import load_suite
from ladd.errors import BusyError, ConfigError
from ladd.first_run import FOLDER, MODELS, SUITE, first_run, main, summary
from ladd.lock import exclusive
from ladd.stages.planned import stages_in_order
from tests.stages.tiny import commit, environment, git

REPOSITORY = Path(__file__).resolve().parents[1]
SHOWN = "00110"


class Stages:
    """Runs stages without work, and notes which, and where."""

    def __init__(self, error: Exception | None = None):
        self.seen: list[tuple[str, str | None]] = []
        self.folders: set[Path] = set()
        self.error = error

    def __call__(self, name: str, key: str | None) -> None:
        self.seen.append((name, key))
        self.folders.add(Path.cwd())
        if self.error is not None:
            raise self.error
        if name == "compare":
            Path("results/samples").mkdir(parents=True)
            Path("results/compare.txt").write_text("the table\n")
            for key in MODELS:
                points = [{"token_steps": steps, "items": [[[SHOWN, False]]] * 9} for steps in (1, 2)]
                Path(f"results/samples/{key}.json").write_text(json.dumps(points))


@pytest.fixture
def repository(tmp_path) -> Path:
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    return tmp_path


def test_suite_is_valid_and_small():
    suite = load_suite(SUITE)
    assert list(suite.sweeps) == list(MODELS)
    assert suite.replicates == 1
    assert {suite.model(key).training.steps for key in (*suite.baselines, *suite.models)} <= set(range(1000))
    assert suite.data["sawtooth"].reference == 2 * suite.evaluation.reference.samples * len(
        suite.evaluation.reference.seeds
    )


def test_every_stage_runs_in_its_folder_and_the_summary_shows_where(repository, monkeypatch):
    monkeypatch.setattr("ladd.dry_run.run_here", stages := Stages())
    left = repository / FOLDER / "results/of-yesterday"
    left.parent.mkdir(parents=True)
    left.write_text("")
    before = Path.cwd()
    folder = first_run(repository)
    assert (folder, stages.folders) == (repository / FOLDER, {repository / FOLDER})
    assert stages.seen == list(stages_in_order(load_suite(SUITE).model_dump()))
    assert Path.cwd() == before
    assert not left.exists()
    assert (folder / load_suite(folder / "params.yaml").root).resolve() == repository
    text = summary(folder)
    assert text.startswith("the table\n")
    assert text.count("  ..##.  ") == 4 * len(MODELS)
    for path in re.findall(r"^(?:figure|report|samples): +(.+)$", text, re.MULTILINE):
        assert Path(path).is_relative_to(folder / "results")


def test_failure_names_the_stage_and_its_output(repository, monkeypatch, capsys):
    monkeypatch.setattr("ladd.dry_run.run_here", Stages(ConfigError("it was refused")))
    monkeypatch.setattr("ladd.first_run.ROOT", repository)
    with pytest.raises(SystemExit, match=r"it was refused\ndata@sawtooth failed; what it printed is in .*log\.txt"):
        main()
    printed = capsys.readouterr().out
    assert "the numbers show how to read the table, and no more" in printed
    assert not re.search("[0-9]+ seconds", printed)  # of a run that went well


def test_interrupt_is_one_line(repository, monkeypatch, capsys):
    monkeypatch.setattr("ladd.first_run.first_run", lambda root: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit) as ended:
        main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "interrupted\n")


def test_two_at_once_are_refused(repository):
    (repository / ".work").mkdir()
    with exclusive(repository / ".work/try.lock", "try"), pytest.raises(BusyError):
        first_run(repository)


@pytest.mark.slow
def test_first_run_and_the_notebook_in_a_clone(tmp_path):
    """What is committed, as somebody has it who has just cloned and installed."""
    clone = tmp_path / "ladd"
    shutil.copytree(
        REPOSITORY,
        clone,
        ignore=shutil.ignore_patterns("__pycache__", ".?*", "artifacts"),
        ignore_dangling_symlinks=True,
    )
    shutil.copy(REPOSITORY / ".gitignore", clone)
    git(clone, "init", "--quiet")
    commit(clone)
    kept = environment() | {"PYTHONPATH": str(clone), "OMP_NUM_THREADS": "2"}

    def run(*command: str) -> str:
        return subprocess.run(
            [sys.executable, *command], cwd=clone, env=kept, check=True, capture_output=True, text=True
        ).stdout

    printed = run("-m", "ladd.first_run")
    folder = clone / FOLDER
    found = re.findall(r"^(mdlm|di-seq) .*? (\d+\.\d+)±", (folder / "results/compare.txt").read_text(), re.MULTILINE)
    assert {name for name, _ in found} == set(MODELS)
    for path in re.findall(r"^(?:figure|report|samples): +(.+)$", printed, re.MULTILINE):
        assert os.path.getsize(path) > 1000
    distances = json.loads((folder / "results/compare.json").read_text())
    with_code, without = distances["di-seq"]["sequential"]["swd"], distances["mdlm"]["none"]["swd"]
    assert with_code["steps_1"] < without["steps_1"]  # what the figure shows
    assert git(clone, "status", "--porcelain") == ""
    run("infra/notebook.py")
    assert git(clone, "diff", "--stat", "--", "docs").count("|") <= 1
