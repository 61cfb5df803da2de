"""Local files, their hashes and the listing hash."""

import hashlib
import os

import pytest
from pydantic import ValidationError

from ladd.assets import fetch_asset, listing_hash
from ladd.config import AssetConfig
from ladd.errors import AssetError
from tests.assets.builders import path_asset, sha256
from tests.stages.tiny import commit, git


@pytest.fixture
def root(tmp_path):
    (tmp_path / "corpus" / "deep").mkdir(parents=True)
    (tmp_path / "corpus" / "deep" / "b.txt").write_bytes(b"abc")
    (tmp_path / "corpus" / "a.txt").write_bytes(b"")
    return tmp_path


EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
LISTING = hashlib.sha256(f'[["a.txt", "{EMPTY}"], ["deep/b.txt", "{ABC}"]]'.encode()).hexdigest()


def fetch(root, name, sha256=None):
    return fetch_asset(path_asset(name, sha256), root / "store", root)


def test_a_name_is_relative_to_the_root_or_absolute(root, tmp_path_factory):
    assert fetch(root, "corpus") == root / "corpus"
    assert fetch(root, "corpus/a.txt") == root / "corpus" / "a.txt"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert fetch(root, str(elsewhere)) == elsewhere
    assert not (root / "store").exists()


def test_listing_hash_is_that_of_the_sorted_names_and_hashes(root):
    assert listing_hash(root / "corpus") == LISTING
    (root / "corpus" / "empty").mkdir()
    (root / "corpus" / "a.txt").chmod(0o600)
    assert listing_hash(root / "corpus") == LISTING


@pytest.mark.parametrize("change", ["content", "name", "more"])
def test_listing_hash_sees_every_change(root, change):
    if change == "content":
        (root / "corpus" / "a.txt").write_text("x")
    elif change == "name":
        (root / "corpus" / "a.txt").rename(root / "corpus" / "c.txt")
    else:
        (root / "corpus" / "deep" / "c.txt").touch()
    with pytest.raises(AssetError) as error:
        fetch(root, "corpus", LISTING)
    assert LISTING in str(error.value)
    assert f"set sha256 to {listing_hash(root / 'corpus')}" in str(error.value)


def test_right_hashes_pass(root):
    assert fetch(root, "corpus", LISTING) == root / "corpus"
    assert fetch(root, "corpus/deep/b.txt", ABC) == root / "corpus" / "deep" / "b.txt"


def test_a_file_replaced_with_its_time_kept_is_seen(root):
    file = root / "corpus" / "deep" / "b.txt"
    assert fetch(root, "corpus/deep/b.txt", ABC) == file
    before = file.stat()
    file.write_bytes(b"abd")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(AssetError, match=sha256(file)):
        fetch(root, "corpus/deep/b.txt", ABC)


def test_a_missing_path_is_an_error(root):
    with pytest.raises(
        AssetError, match=r"asset corpus/c.txt: .*corpus/c.txt is missing; put the file or folder there"
    ):
        fetch(root, "corpus/c.txt")


@pytest.mark.parametrize("name", ["n" * 300, "corpus/" + "n" * 300, "~no-such-user/corpus"])
def test_a_name_that_no_file_can_have_is_an_error(root, name):
    with pytest.raises(AssetError, match=f"asset {name}: .*correct the name"):
        fetch(root, name)


@pytest.mark.parametrize("wrong", ["abc", ABC.upper(), "../" + ABC[3:], ABC + "0"])
def test_what_is_no_hash_is_refused_by_the_settings(wrong):
    with pytest.raises(ValidationError, match=r"sha256\n.*pattern"):
        AssetConfig(source="path", name="corpus", sha256=wrong)


def test_what_git_does_not_track_is_found_from_a_work_tree(root):
    (root / ".gitignore").write_text("corpus/\n")
    (root / "tracked.txt").write_text("of the commit")
    git(root, "init", "--quiet")
    commit(root)
    tree = root / ".work" / "tree"
    git(root, "worktree", "add", "--quiet", "--detach", str(tree))
    (root / "tracked.txt").write_text("changed since")
    assert fetch(tree, "corpus") == root / "corpus"
    assert fetch(tree, "tracked.txt") == tree / "tracked.txt"
