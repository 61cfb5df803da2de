"""Worktrees of launches: what they hold, who may use them, and what is left after a failure or a kill."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ladd.errors import BusyError, LaunchError
from ladd.launch.pipeline import write_pipeline
from ladd.launch.worktree import Worktree, root_of, worktree
from tests.launch.repository import mark, trees_of
from tests.stages.tiny import REPOSITORY, commit, git

NAME = "study"
WHICH = "import ladd; print(ladd.VERSION, ladd.__file__)"


def tree_of(repository: Path) -> Path:
    return repository / ".work/trees" / NAME


def code_in(tree: Worktree) -> list[str]:
    command = ["python", "-c", WHICH]
    folder = tree.path / ".work"  # as deep as a suite: the code is found by its path and not by the working directory
    folder.mkdir(exist_ok=True)
    process = subprocess.run(
        command, cwd=folder, env=dict(tree.environment), capture_output=True, text=True, check=True
    )
    return process.stdout.split()


@contextlib.contextmanager
def failed_launch(repository: Path) -> Iterator[Worktree]:
    """A launch that fails when the block ends."""
    with contextlib.suppress(ZeroDivisionError), worktree(repository, NAME) as tree:
        yield tree
        raise ZeroDivisionError


def test_worktree_has_the_commit_its_code_and_the_cache_of_the_main_checkout(repository):
    with worktree(repository, NAME) as tree:
        assert tree.path == tree_of(repository)
        assert tree.fresh
        assert git(tree.path, "rev-parse", "HEAD") == git(repository, "rev-parse", "HEAD")
        assert git(tree.path, "branch", "--show-current") == ""
        assert code_in(tree) == ["first", str(tree.path / "ladd/__init__.py")]
        command = [sys.executable, "-m", "dvc", "cache", "dir"]
        cache = subprocess.run(command, cwd=tree.path, capture_output=True, text=True, check=True).stdout.strip()
        assert cache == str(repository / ".dvc/cache")
        assert git(tree.path, "status", "--porcelain") == ""
    assert not tree.path.exists()
    assert trees_of(repository) == []
    assert git(repository, "status", "--porcelain") == ""


@pytest.mark.parametrize("elsewhere", [False, True])
def test_cache_is_shared_in_a_path_that_dvc_cannot_write_down(original, tmp_path, elsewhere):
    folder = shutil.copytree(original, tmp_path / "my dir é" / "repository", symlinks=True)
    cache = tmp_path / "größer/cache" if elsewhere else folder / ".dvc/cache"
    if elsewhere:
        (folder / ".dvc/config.local").write_text(f"[cache]\n    dir = {cache}\n")
    cache.mkdir(parents=True)
    (cache / "mark").write_text("of the main checkout")
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    with worktree(folder, NAME) as tree:
        found = subprocess.run(command, cwd=tree.path, capture_output=True, text=True, check=True).stdout.strip()
        assert (Path(found) / "mark").read_text() == "of the main checkout"
        assert git(tree.path, "status", "--porcelain") == ""
    assert (cache / "mark").is_file()


def test_another_commit_runs_its_own_code_even_from_a_changed_tree(repository):
    first = git(repository, "rev-parse", "HEAD")
    mark(repository, "second")
    commit(repository)
    mark(repository, "not committed")
    with worktree(repository, NAME, commit=first) as tree:
        assert code_in(tree)[0] == "first"


@pytest.mark.parametrize("name", ["ladd/__init__.py", "ladd/new.py", "dvc.yaml", "requirements"])
def test_code_that_is_not_committed_is_refused(repository, name):
    path = repository / (f"{name}/run.txt" if name == "requirements" else name)
    path.parent.mkdir(exist_ok=True)
    path.write_text("# changed\n")
    with pytest.raises(LaunchError, match=rf"(?s)commit first.*{name}"), worktree(repository, NAME):
        pass
    assert not tree_of(repository).exists()


def test_settings_and_results_need_not_be_committed(repository):
    write_pipeline(repository, repository / "suites/mine")
    (repository / "params.yaml").write_text("changed: true\n")
    with worktree(repository, NAME) as tree:
        assert (tree.path / "params.yaml").read_text() != "changed: true\n"  # the launch writes its own


def test_failed_launch_stays_with_what_it_wrote_and_the_next_goes_on(repository):
    with failed_launch(repository) as tree:
        (tree.path / ".work").mkdir()
        for name in (".work/step-3", "params.yaml", "dvc.lock", "ladd/__init__.py"):
            (tree.path / name).write_text("of the first try")
    mark(repository, "second")
    commit(repository)
    with worktree(repository, NAME) as tree:
        assert not tree.fresh
        assert code_in(tree)[0] == "second"
        for name in (".work/step-3", "params.yaml", "dvc.lock"):
            assert (tree.path / name).read_text() == "of the first try"
    assert trees_of(repository) == []


def test_failed_launch_goes_on_after_its_checkout_was_moved(repository, tmp_path):
    with failed_launch(repository) as tree:
        (tree.path / ".work").mkdir()
        (tree.path / ".work/step-3").write_text("of the first try")
    shutil.move(repository, tmp_path / "moved")
    with worktree(tmp_path / "moved", NAME) as tree:
        assert not tree.fresh
        assert (tree.path / ".work/step-3").read_text() == "of the first try"
        assert code_in(tree) == ["first", str(tree.path / "ladd/__init__.py")]
    assert trees_of(tmp_path / "moved") == []


def test_launch_in_a_copy_leaves_that_of_the_original_alone(repository, tmp_path):
    with failed_launch(repository) as tree:
        (tree.path / "step-3").write_text("of the original")
    shutil.copytree(repository, tmp_path / "copy", symlinks=True)
    with worktree(tmp_path / "copy", NAME) as tree:
        assert tree.path == tree_of(tmp_path / "copy")
    with worktree(repository, NAME) as tree:
        assert not tree.fresh
        assert (tree.path / "step-3").read_text() == "of the original"


def test_error_of_a_failed_launch_says_where_its_worktree_is(repository):
    launch = worktree(repository, NAME)
    launch.__enter__()
    error = ZeroDivisionError()
    assert not launch.__exit__(ZeroDivisionError, error, None)
    assert [note.split(":")[0] for note in error.__notes__] == [f"{tree_of(repository)} is kept"]


def test_code_that_a_later_commit_removed_goes_from_a_kept_worktree(repository):
    (repository / "ladd/old.py").write_text("")
    commit(repository)
    with failed_launch(repository) as tree:
        assert (tree.path / "ladd/old.py").is_file()
    (repository / "ladd/old.py").unlink()
    commit(repository)
    with worktree(repository, NAME) as tree:
        assert not tree.fresh
        assert not (tree.path / "ladd/old.py").exists()


def test_folder_that_is_gone_is_made_again(repository):
    with failed_launch(repository) as tree:
        shutil.rmtree(tree.path)
    assert trees_of(repository) == [NAME]
    with worktree(repository, NAME) as tree:
        assert tree.fresh
        assert code_in(tree)[0] == "first"


def test_checkout_that_a_kill_cut_short_is_made_again(repository):
    with failed_launch(repository) as tree:
        (tree.path / "dvc.yaml").unlink()
        (tree.path / "left").write_text("")
    (repository / ".git/worktrees" / NAME / "locked").write_text("initializing")  # as git leaves it when killed
    with worktree(repository, NAME) as tree:
        assert tree.fresh
        assert not (tree.path / "left").exists()
        assert (tree.path / "dvc.yaml").is_file()


def test_index_lock_of_a_killed_git_is_no_obstacle(repository):
    with failed_launch(repository) as tree:
        (tree.path / "ladd/__init__.py").unlink()
    (repository / ".git/worktrees" / NAME / "index.lock").write_text("")
    with worktree(repository, NAME) as tree:
        assert code_in(tree)[0] == "first"


def test_second_launch_of_the_name_is_told_who_runs_and_another_name_may(repository):
    with worktree(repository, NAME):
        with pytest.raises(BusyError, match=rf"launch study is already running \(process {os.getpid()}\)"):
            worktree(repository, NAME).__enter__()
        with worktree(repository, "other"):
            assert sorted(trees_of(repository)) == ["other", NAME]


def start(program: str) -> subprocess.Popen:
    """A process that runs our code; its first line of output is the sign that it is where it should be."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.first_line = process.stdout.readline().strip()
    return process


def stop(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()
    process.stdout.close()


def test_launch_goes_on_after_sigkill(repository):
    process = start(
        "import pathlib, time; from ladd.launch.worktree import worktree\n"
        f"with worktree(pathlib.Path({str(repository)!r}), {NAME!r}) as tree:\n"
        "    (tree.path / 'step-7').write_text('resume'); print('inside', flush=True); time.sleep(600)"
    )
    try:
        assert process.first_line == "inside"
        with pytest.raises(BusyError, match=f"process {process.pid}"):
            worktree(repository, NAME).__enter__()
    finally:
        stop(process)
    with worktree(repository, NAME) as tree:
        assert not tree.fresh
        assert (tree.path / "step-7").read_text() == "resume"
    assert trees_of(repository) == []


def test_stage_that_outlived_its_launch_keeps_the_next_out(repository):
    with failed_launch(repository) as tree:
        (tree.path / "suites").mkdir()
    program = (
        f"import os, time; os.chdir({str(tree_of(repository) / 'suites')!r}); print('in', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", program, "-m ladd.stages.stage2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as orphan:
        assert orphan.stdout is not None
        assert orphan.stdout.readline() == b"in\n"
        try:
            with pytest.raises(BusyError, match=f"process {orphan.pid} .*ladd.stages.stage2"):
                worktree(repository, NAME).__enter__()
        finally:
            orphan.kill()
    with worktree(repository, NAME) as tree:
        assert not tree.fresh


def test_launch_from_a_worktree_lands_in_the_main_checkout(repository, tmp_path):
    git(repository, "worktree", "add", "--quiet", "--detach", str(tmp_path / "linked"))
    mark(tmp_path / "linked", "linked")
    commit(tmp_path / "linked")
    with worktree(tmp_path / "linked", NAME) as tree:
        assert tree.path == tree_of(repository)
        assert code_in(tree)[0] == "linked"


def test_environment_names_no_launch_of_before(repository, monkeypatch):
    monkeypatch.setenv("LADD_LAUNCH", "outer")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    with worktree(repository, NAME) as tree:
        assert "LADD_LAUNCH" not in tree.environment
        assert tree.environment["PYTHONPATH"] == str(tree.path)
        assert tree.environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_root_of_a_folder_is_that_of_its_checkout(repository, tmp_path):
    assert root_of(repository / "ladd") == repository
    with pytest.raises(LaunchError, match="is no folder"):
        root_of(tmp_path / "nowhere")
    with pytest.raises(LaunchError, match="not a git repository"):
        root_of(tmp_path)
