"""Choice of the source, and the files of an asset."""

import pytest

from ladd.assets import asset_files, fetch_asset
from ladd.errors import AssetError
from tests.assets.builders import path_asset


@pytest.fixture
def folder(tmp_path):
    for name in ("data/b.txt", "data/a.txt", "data/a/z.txt", "data/a-b/y.txt", "notes.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def names(folder, pattern):
    return [file.relative_to(folder).as_posix() for file in asset_files(folder, pattern)]


def test_files_come_in_the_order_of_their_names(folder):
    assert names(folder, "data/*.txt") == ["data/a.txt", "data/b.txt"]
    # "-" < "." < "/" as characters; the parts of paths compare otherwise.
    assert names(folder, "**/*.txt") == ["data/a-b/y.txt", "data/a.txt", "data/a/z.txt", "data/b.txt"]
    assert names(folder, "notes.md") == ["notes.md"]


@pytest.mark.parametrize("pattern", ["", "*.md", "data/*.txt"])
def test_a_single_file_is_its_own_match(folder, pattern):
    assert asset_files(folder / "data/b.txt", pattern) == [folder / "data/b.txt"]


@pytest.mark.parametrize("pattern", ["*.parquet", "data", "", "/data/*.txt", "data/../notes.md"])
def test_no_match_says_what_there_is(folder, pattern):
    with pytest.raises(AssetError) as error:
        asset_files(folder, pattern)
    assert repr(pattern) in str(error.value)
    assert "data/, notes.md" in str(error.value)


@pytest.mark.parametrize("pattern", ["a**b", ".", "n" * 300, "data/" + "n" * 300 + "/*.txt"])
def test_what_is_no_glob_is_an_error(folder, pattern):
    with pytest.raises(AssetError, match=r"data/, notes.md"):
        asset_files(folder, pattern)


def test_a_long_list_of_names_is_cut(tmp_path):
    for i in range(25):
        (tmp_path / f"{i:02}").touch()
    with pytest.raises(AssetError, match=r"18, 19, \.\.\.$"):
        asset_files(tmp_path, "*.txt")


def test_an_asset_that_is_gone_is_an_error(tmp_path):
    with pytest.raises(AssetError, match="it is missing"):
        asset_files(tmp_path / "gone", "*.txt")


def test_an_unknown_source_is_an_error(tmp_path):
    asset = path_asset("notes.md")
    asset.source = "ftp"
    with pytest.raises(AssetError, match=r"notes.md: source 'ftp' is unknown; write \"wheel\", \"hub\" or \"path\""):
        fetch_asset(asset, tmp_path, tmp_path)
