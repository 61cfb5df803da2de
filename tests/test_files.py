"""Files written whole or not at all."""

import json
import os

import pytest
import torch
from safetensors.torch import load_file

from ladd.files import file_hash, save_tensors, write_atomically, write_json


def test_hash_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_hash(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_folders_are_made_and_old_content_is_replaced(tmp_path):
    path = tmp_path / "new" / "file"
    for content in (b"first", b"second"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert path.stat().st_mode & 0o777 == 0o644


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


def test_json_is_read_back(tmp_path):
    write_json(tmp_path / "a.json", {"x": [1, 0.1 + 0.2]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, 0.1 + 0.2]}


def test_tied_and_strided_tensors_are_read_back(tmp_path):
    tensor = torch.randn(3, 4)
    save_tensors(tmp_path / "t", {"a": tensor, "b": tensor, "turned": tensor.T})
    loaded = load_file(tmp_path / "t")
    assert torch.equal(loaded["a"], loaded["b"])
    assert torch.equal(loaded["turned"], tensor.T)
