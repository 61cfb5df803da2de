"""Suites written into worktrees, and handed over whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ladd.launch import pipeline
from ladd.launch.pipeline import HEADER, hand_over, prepare
from ladd.launch.worktree import Worktree

NAMES = ("params.yaml", "dvc.yaml", "results", "dvc.lock")
PARAMS, PIPELINE = "# a header\nseed: 1\n", "stages: {data: {cmd: make}}\n"
WRITTEN = {"params.yaml": PARAMS, "dvc.yaml": HEADER + PIPELINE}


def fill(folder: Path, text: str) -> Path:
    """A suite whose files say where they come from."""
    (folder / "results/plots").mkdir(parents=True)
    for name in ("params.yaml", "dvc.lock", "results/compare.txt", f"results/plots/{text}.png"):
        (folder / name).write_text(text)
    (folder / "dvc.yaml").write_text(f"{HEADER}# of {text}\n")
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def test_suite_is_handed_over_beside_what_else_is_there(tmp_path):
    source, target = fill(tmp_path / "new", "new"), fill(tmp_path / "old", "old")
    (target / "notes.md").write_text("mine")
    hand_over(source, target, NAMES)
    assert contents(target) == contents(source) | {"notes.md": "mine"}


def test_suite_is_handed_over_to_a_folder_that_is_not_there(tmp_path):
    source = fill(tmp_path / "new", "new")
    hand_over(source, tmp_path / "suites/study", NAMES)
    assert contents(tmp_path / "suites/study") == contents(source)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("at", range(5))
def test_kill_at_any_rename_loses_no_results(tmp_path, monkeypatch, at):
    source, target = fill(tmp_path / "new", "new"), fill(tmp_path / "old", "old")
    calls = []

    def replace(before, after):
        calls.append(before)
        if len(calls) == at + 1:
            raise Killed
        os.rename(before, after)

    with monkeypatch.context() as patched:
        patched.setattr(pipeline.os, "replace", replace)
        with pytest.raises(Killed):
            hand_over(source, target, NAMES)
    tables = {path.read_text() for path in target.rglob("compare.txt")}
    assert "new" in tables
    assert "old" in tables or at == 4  # the new ones are in their place by then
    hand_over(source, target, NAMES)
    assert contents(target) == contents(source)


def test_old_results_return_when_the_next_launch_fails_to_copy(tmp_path):
    target = fill(tmp_path / "old", "old")
    (target / ".work/replaced").mkdir(parents=True)
    os.rename(target / "results", target / ".work/replaced/results")  # killed between two renames
    with pytest.raises(FileNotFoundError):
        hand_over(tmp_path / "nothing", target, ("results",))
    assert (target / "results/compare.txt").read_text() == "old"


def tree(path: Path, *, fresh: bool) -> Worktree:
    path.mkdir(exist_ok=True)
    (path / "dvc.yaml").write_text(PIPELINE)
    return Worktree(path, {}, fresh)


def test_fresh_worktree_takes_the_state_of_the_suite(tmp_path):
    source = fill(tmp_path / "source", "own")
    folder = tmp_path / "tree/suites/study"
    prepare(source, folder, PARAMS, tree(tmp_path / "tree", fresh=True))
    assert contents(folder) == contents(source) | WRITTEN


def test_kept_worktree_keeps_its_state_while_the_parameters_are_the_same(tmp_path):
    source, folder = fill(tmp_path / "source", "own"), fill(tmp_path / "tree/suites/study", "tried")
    (folder / "params.yaml").write_text("seed: 1 # said otherwise\n")
    prepare(source, folder, PARAMS, tree(tmp_path / "tree", fresh=False))
    assert contents(folder)["dvc.lock"] == contents(folder)["results/compare.txt"] == "tried"
    assert contents(folder)["params.yaml"] == PARAMS


@pytest.mark.parametrize("there", [True, False])
def test_kept_worktree_of_other_parameters_starts_from_the_suite_again(tmp_path, there):
    source, folder = tmp_path / "source", fill(tmp_path / "tree/suites/study", "tried")
    if there:
        fill(source, "own")
    (folder / "params.yaml").write_text("seed: 2\n")
    prepare(source, folder, PARAMS, tree(tmp_path / "tree", fresh=False))
    state = {"dvc.lock": "own", "results/compare.txt": "own", "results/plots/own.png": "own"} if there else {}
    assert contents(folder) == state | WRITTEN


@pytest.mark.parametrize(
    ("link", "text", "after"),
    [(True, "", HEADER + PIPELINE), (False, HEADER, HEADER + PIPELINE), (False, "stages: {}\n", "stages: {}\n")],
    ids=["link", "old copy", "own"],
)
def test_copy_of_the_pipeline_follows_the_commit_and_another_pipeline_stays(tmp_path, link, text, after):
    folder = tmp_path / "tree/suites/study"
    folder.mkdir(parents=True)
    if link:
        (folder / "dvc.yaml").symlink_to("../../dvc.yaml")
    else:
        (folder / "dvc.yaml").write_text(text)
    prepare(tmp_path / "source", folder, PARAMS, tree(tmp_path / "tree", fresh=False))
    assert not (folder / "dvc.yaml").is_symlink()
    assert (folder / "dvc.yaml").read_text() == after
    assert (tmp_path / "tree/dvc.yaml").read_text() == PIPELINE
