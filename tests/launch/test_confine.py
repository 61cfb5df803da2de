"""What comes from a server names nothing outside of the repository."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError

from ladd.errors import ConfigError
from ladd.launch.ablation import preview
from ladd.launch.confine import check_assets, check_name, suite_folder
from ladd.launch.grid import Grid
from ladd.launch.overrides import plan_overrides
from ladd.launch.worktree import worktree

OUTSIDE = ["", "/", "..", "../..", "./", "./.", "suites", "suites/", "suites/..", "suites/../x", "suites/x/../x", "x"]
ODD = ["suites/x/", "suites//x", "suites/.x", "suites/-x", "suites/x y", "suites/x\n", "suites/a/b", ".\n", "~", "\0"]


@pytest.fixture
def root(tmp_path) -> Path:
    """A repository with a suite x, and a hostile one beside it."""
    for folder in ("r", "r/suites/x", "evil"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "params.yaml").write_text("suite: x\n")
    return tmp_path / "r"


def test_suites_of_the_repository_are_found(root):
    assert suite_folder(root, ".") == root
    assert suite_folder(root, "suites/x") == root / "suites/x"


@pytest.mark.parametrize("suite", [*OUTSIDE, *ODD])
def test_all_else_is_no_suite(root, suite):
    with pytest.raises(ConfigError, match=r"is neither . nor suites/NAME; there are ., suites/x"):
        suite_folder(root, suite)
    with pytest.raises(ValidationError) if suite not in ("./", "suites/x/") else pytest.raises(ConfigError):
        preview(root, Grid(name="study", suite=suite))


def test_absolute_folders_are_no_suites(root):
    for folder in (root.parent / "evil", root, root / "suites/x"):
        with pytest.raises(ConfigError, match="is neither"):
            suite_folder(root, str(folder))


@pytest.mark.parametrize("link", ["suites/y", "suites/x/dvc.yaml", "suites/x/params.yaml"])
def test_link_out_of_the_repository_is_refused(root, link):
    (root / link).unlink(missing_ok=True)
    (root / link).symlink_to(root.parent / "evil" / Path(link).name if link.endswith("yaml") else root.parent / "evil")
    with pytest.raises(ConfigError, match=r"is a link to .*evil.*, outside of the repository"):
        suite_folder(root, "/".join(link.split("/")[:2]))


def test_link_of_the_folder_of_suites_is_refused(root):
    shutil.move(root / "suites", root.parent / "suites")
    (root / "suites").symlink_to(root.parent / "suites")
    with pytest.raises(ConfigError, match="is a link to"):
        suite_folder(root, "suites/x")


def test_link_within_the_repository_stays(root):
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "suites/x/dvc.yaml").symlink_to("../../dvc.yaml")
    assert suite_folder(root, "suites/x") == root / "suites/x"


def test_unknown_suite_is_an_error_that_lists_them(root):
    with pytest.raises(ConfigError, match=r"'suites/y' is no folder with a params.yaml; there are \., suites/x"):
        suite_folder(root, "suites/y")


def test_ablation_writes_to_no_link_out_of_the_repository(repository, tmp_path):
    (repository / "suites").mkdir()
    (repository / "suites/study").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match=r"name: .* is a link to"):
        preview(repository, Grid(name="study", lengths=[1], codebooks=[4], token_steps=[1], seeds=[0], baselines=False))


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".x", "-x", "a\n", "x" * 101])
def test_launches_have_plain_names(repository, name):
    with pytest.raises(ConfigError, match="write letters, digits and hyphens"):
        check_name(name, "launch")
    with pytest.raises(ConfigError, match="launch"), worktree(repository, name):
        pass
    if name:  # an empty one takes the default
        with pytest.raises(ConfigError, match="write letters, digits and hyphens"):
            plan_overrides(repository, Path(), {"seed": 7}, name=name)
    assert not (repository / ".work").exists()


def asset(name: str, source: str = "path") -> dict:
    return {"data": {"d": {"train": [{"asset": {"source": source, "name": name}}]}}}


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "~/x", "corpora/../../x", "link/x"])
def test_new_asset_outside_is_refused_and_an_old_one_stays(root, name):
    (root / "link").symlink_to(root.parent / "evil")
    with pytest.raises(ConfigError, match="names no file outside of the repository"):
        check_assets(root, asset(name, "hub"), asset(name))
    check_assets(root, asset(name), asset(name))


def test_asset_inside_and_assets_from_elsewhere_pass(root):
    check_assets(root, {}, asset("corpora/x.txt"))
    check_assets(root, {}, asset("../x", "hub"))
