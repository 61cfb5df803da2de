"""What git says of the code: the commit, and whether the tree or the package differs from it."""

import logging
from pathlib import Path

import pytest

from ladd.git import code_distance, git_tags, main_checkout
from tests.stages.tiny import commit, git


@pytest.fixture
def repository(tmp_path) -> Path:
    """One commit, of a package and a page beside it."""
    (tmp_path / "ladd").mkdir()
    (tmp_path / "ladd/models.py").write_text("one")
    (tmp_path / "README.md").write_text("one")
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def test_folder_without_git_says_so(tmp_path):
    assert git_tags(tmp_path) == {"git.commit": "none"}


def test_repository_without_a_commit_says_so(tmp_path):
    git(tmp_path, "init", "--quiet")
    assert git_tags(tmp_path) == {"git.commit": "none"}


def test_machine_without_git_says_so(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_tags(repository) == {"git.commit": "none"}


def test_repository_of_another_user_is_a_warning_with_the_remedy_once(repository, monkeypatch, caplog):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert git_tags(repository) == {"git.commit": "none"}
    [record] = caplog.records
    assert f"git config --global --add safe.directory '{repository}'" in record.getMessage()


def test_path_that_ends_in_a_space_is_kept(tmp_path):
    folder = tmp_path / "odd "
    folder.mkdir()
    git(folder, "init", "--quiet")
    assert main_checkout(folder) == folder


def test_clean_tree_is_named_by_its_commit(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert git_tags(repository) == {"git.commit": head, "git.dirty": "false", "git.changed": "none"}


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("ladd/models.py", "ladd/models.py"),
        ("ladd/new.py", "ladd/new.py"),
        ("dvc.yaml", "dvc.yaml"),
        ("README.md", "none"),
        ("results.csv", "none"),
    ],
)
def test_changes_of_the_code_are_named_and_any_change_marks_the_tree(repository, file, changed):
    (repository / file).write_text("two")
    head = git(repository, "rev-parse", "HEAD")
    assert git_tags(repository) == {"git.commit": head, "git.dirty": "true", "git.changed": changed}


def test_all_changed_files_of_the_code_are_named(repository):
    (repository / "suites/tiny").mkdir(parents=True)
    for file in ("ladd/models.py", "ladd/new.py", "suites/tiny/dvc.yaml", "suites/tiny/params.yaml"):
        (repository / file).write_text("two")
    git(repository, "add", "suites")
    assert git_tags(repository)["git.changed"].split() == ["ladd/models.py", "suites/tiny/dvc.yaml", "ladd/new.py"]


def test_distance_counts_commits_to_the_code_and_files_that_differ_now(repository):
    first = git(repository, "rev-parse", "HEAD")
    assert code_distance(repository, first) == (0, 0, [])
    (repository / "ladd/models.py").write_text("two")
    commit(repository)
    (repository / "README.md").write_text("two")
    commit(repository)
    second = git(repository, "rev-parse", "HEAD")
    assert code_distance(repository, first) == (0, 1, ["ladd/models.py"])
    git(repository, "checkout", "--quiet", first)
    assert code_distance(repository, second) == (1, 0, ["ladd/models.py"])
    (repository / "ladd/models.py").write_text("two")
    assert code_distance(repository, second) == (1, 0, [])


def test_distance_to_a_commit_that_is_not_there_is_not_known(repository, tmp_path_factory):
    assert code_distance(repository, "0" * 40) is None
    assert code_distance(tmp_path_factory.mktemp("elsewhere"), "0" * 40) is None


def test_work_trees_share_the_main_checkout_place_by_place(repository):
    (repository / "part").mkdir()
    (repository / "part/file").write_text("one")
    commit(repository)
    git(repository, "worktree", "add", "--quiet", "--detach", ".work/tree")
    assert main_checkout(repository / ".work/tree") == main_checkout(repository) == repository
    assert main_checkout(repository / ".work/tree/part") == repository / "part"


def test_folder_that_has_no_main_checkout_is_its_own(repository, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert main_checkout(elsewhere) == elsewhere
    git(elsewhere, "clone", "--quiet", "--bare", str(repository), "bare")
    git(elsewhere / "bare", "worktree", "add", "--quiet", "--detach", str(elsewhere / "tree"))
    assert main_checkout(elsewhere / "tree") == elsewhere / "tree"
    monkeypatch.setenv("PATH", "")
    assert main_checkout(repository) == repository
