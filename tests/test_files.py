"""Files written whole or not at all."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ladd.data.shards import write_shard
from ladd.files import (
    file_hash,
    remove_folder,
    remove_unfinished,
    replace_folder,
    save_tensors,
    whole_file,
    write_atomically,
    write_json,
)


def test_hash_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_hash(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_folders_are_made_and_old_content_is_replaced(tmp_path):
    path = tmp_path / "new" / "file"
    for content in (b"first", b"second"):
        write_atomically(path, content)
        assert path.read_bytes() == content


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_files_have_the_permissions_of_the_umask(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_atomically(tmp_path / "text", b"text")
        save_tensors(tmp_path / "weights", {"a": torch.zeros(2)})
        write_shard(tmp_path / "shard", np.zeros((2, 3), "uint8"))
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(
        ("text", "weights", "shard"), mode
    )


def synced_before_renamed(monkeypatch) -> list[tuple[str, str]]:
    """The order in which files are made safe and renamed from now on, as (call, path)."""
    calls, replace, fsync = [], os.replace, os.fsync

    def note_replace(source, target):
        calls.append(("rename", str(target)))
        replace(source, target)

    def note_fsync(handle):
        calls.append(("sync", os.readlink(f"/proc/self/fd/{handle}")))
        fsync(handle)

    monkeypatch.setattr(os, "replace", note_replace)
    monkeypatch.setattr(os, "fsync", note_fsync)
    return calls


def test_content_is_on_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    calls = synced_before_renamed(monkeypatch)
    write_atomically(tmp_path / "file", b"text")
    assert [call for call, _ in calls] == ["sync", "rename", "sync"]
    assert calls[0][1].startswith(str(tmp_path / ".file-"))
    assert calls[1:] == [("rename", str(tmp_path / "file")), ("sync", str(tmp_path))]


def test_folder_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    (tmp_path / "new" / "below").mkdir(parents=True)
    (tmp_path / "new" / "below" / "file").write_text("text")
    (tmp_path / "old").mkdir()
    calls = synced_before_renamed(monkeypatch)
    replace_folder(tmp_path / "new", tmp_path / "old")
    renamed = calls.index(("rename", str(tmp_path / "old")))
    written = {("sync", str(tmp_path / "new" / name)) for name in ("", "below", "below/file")}
    assert {(call, path.rstrip("/")) for call, path in written} <= {*calls[:renamed]}
    assert calls[renamed + 1 :] == [("sync", str(tmp_path))]
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old" / "below" / "file").read_text() == "text"


def test_kill_while_a_folder_is_removed_leaves_no_half_of_it(tmp_path, monkeypatch):
    (tmp_path / "state").mkdir()

    def killed(path, **_):
        if Path(path).exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            remove_folder(tmp_path / "state")
    assert not (tmp_path / "state").exists()
    (tmp_path / "state").mkdir()
    remove_folder(tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_while_writing_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"first")

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"second")
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def left_by_a_kill(path: Path) -> Path:
    """The file that a process leaves which is killed before it renames it."""
    before = set(path.parent.glob(".*"))
    if os.fork() == 0:
        os.replace = lambda *_: os._exit(0)
        try:
            write_atomically(path, b"text")
        finally:
            os._exit(1)
    assert os.wait()[1] == 0
    [left] = set(path.parent.glob(".*")) - before
    return left


def test_what_a_kill_left_of_a_file_or_folder_is_removed_and_nothing_else(tmp_path):
    (tmp_path / "plots").mkdir()
    mine = [left_by_a_kill(tmp_path / "di.csv"), left_by_a_kill(tmp_path / "plots/a.png")]
    for name in (".plots.partial", ".plots.removed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
    others = [left_by_a_kill(tmp_path / "di.csv-2"), left_by_a_kill(tmp_path / "co-di.csv"), tmp_path / ".gitignore"]
    (tmp_path / ".gitignore").write_text("text")
    write_atomically(tmp_path / "di.csv", b"text")
    for name in ("di.csv", "plots"):
        remove_unfinished(tmp_path / name)
    assert not any(path.exists() for path in mine)
    assert {path.name for path in tmp_path.iterdir()} == {"plots", "di.csv", *(path.name for path in others)}


def test_next_write_removes_what_a_kill_left_and_nothing_that_is_being_written(tmp_path):
    path, sibling = tmp_path / "values.json", left_by_a_kill(tmp_path / "values.json-2")
    with whole_file(path) as first:
        first.write(b"first")
        left = left_by_a_kill(path)
        write_atomically(path, b"second")
        assert not left.exists()
    assert path.read_bytes() == b"first"
    assert {each.name for each in tmp_path.iterdir()} == {path.name, sibling.name}


def test_places_that_are_not_there_hold_nothing_unfinished(tmp_path):
    remove_unfinished(tmp_path / "nowhere" / "file")


def test_json_is_read_back(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, 0.1 + 0.2]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, 0.1 + 0.2]}


def test_tied_and_strided_tensors_are_read_back(tmp_path):
    tensor = torch.randn(3, 4)
    save_tensors(tmp_path / "t", {"a": tensor, "b": tensor, "turned": tensor.T})
    loaded = load_file(tmp_path / "t")
    assert torch.equal(loaded["a"], loaded["b"])
    assert torch.equal(loaded["turned"], tensor.T)
