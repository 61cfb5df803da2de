"""What git says of the code: the commit, and whether the tree or the package differs from it."""

from pathlib import Path

import pytest

from ladd.git import code_version, git_tags
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
    assert code_version(tmp_path) == "none"


def test_repository_without_a_commit_says_so(tmp_path):
    git(tmp_path, "init", "--quiet")
    assert git_tags(tmp_path) == {"git.commit": "none"}
    assert code_version(tmp_path) == "none"


def test_machine_without_git_says_so(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert git_tags(repository) == {"git.commit": "none"}
    assert code_version(repository) == "none"


def test_clean_tree_is_named_by_its_commit(repository):
    head = git(repository, "rev-parse", "HEAD")
    assert git_tags(repository) == {"git.commit": head, "git.dirty": "false"}
    assert code_version(repository) == head[:12]


@pytest.mark.parametrize(
    ("file", "mark"), [("ladd/models.py", "+"), ("ladd/new.py", "+"), ("README.md", ""), ("results.csv", "")]
)
def test_only_the_package_marks_the_version_but_any_change_the_tree(repository, file, mark):
    (repository / file).write_text("two")
    head = git(repository, "rev-parse", "HEAD")
    assert git_tags(repository) == {"git.commit": head, "git.dirty": "true"}
    assert code_version(repository) == head[:12] + mark


def test_version_is_that_of_the_repository_it_is_asked_of(repository, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert code_version(repository) == git(repository, "rev-parse", "HEAD")[:12]
