"""Shards on disk and the rows read from them."""

import datasets
import numpy as np
import pytest
import torch

from ladd.data.shards import Rows, shard_path, token_type, write_array_shards, write_shard, write_shards
from ladd.errors import ArtifactError

CPU = torch.device("cpu")


def blocks(count: int, tokens: int, vocabulary: int) -> np.ndarray:
    return np.random.default_rng(0).integers(vocabulary, size=(count, tokens))


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("vocabulary", "stored", "read"),
    [
        (255, "uint8", torch.uint8),
        (256, "uint16", torch.int64),
        (65535, "uint16", torch.int64),
        (65536, "int32", torch.int64),
        (151669, "int32", torch.int64),
    ],
)
def test_what_is_written_is_read_back_in_the_smallest_type_that_holds_the_mask(tmp_path, vocabulary, stored, read):
    expected = blocks(7, 5, vocabulary)
    expected[3, 2] = vocabulary - 1
    assert write_shards(tmp_path, [expected], tokens=5, vocabulary=vocabulary, shard=3) == 7
    rows = Rows.open(tmp_path, CPU)
    assert token_type(vocabulary) == stored == rows.shards[0].dtype
    assert np.iinfo(rows.shards[0].dtype).max >= vocabulary
    assert rows[:].dtype == read
    assert torch.equal(rows[:].long(), torch.from_numpy(expected))


def test_shards_are_full_but_the_last(tmp_path):
    write_shards(tmp_path, [blocks(8, 4, 9)], tokens=4, vocabulary=9, shard=3)
    assert sorted(content(tmp_path)) == ["00000.arrow", "00001.arrow", "00002.arrow"]
    assert [len(shard) for shard in Rows.open(tmp_path, CPU).shards] == [3, 3, 2]


def test_bytes_do_not_depend_on_how_the_blocks_arrive(tmp_path):
    whole = blocks(11, 4, 300)
    pieces = [whole[:1], whole[1:1], whole[1:9].astype(np.uint16), whole[9:].astype(np.int32)]
    for name, arrays in (("a", [whole]), ("b", pieces)):
        write_shards(tmp_path / name, iter(arrays), tokens=4, vocabulary=300, shard=4)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_other_blocks_give_other_bytes(tmp_path):
    whole = blocks(11, 4, 300)
    write_shards(tmp_path / "a", [whole], tokens=4, vocabulary=300, shard=4)
    write_shards(tmp_path / "b", [whole[::-1]], tokens=4, vocabulary=300, shard=4)
    assert content(tmp_path / "a")["00000.arrow"] != content(tmp_path / "b")["00000.arrow"]


def test_rows_come_in_the_order_asked_for_across_shards(tmp_path):
    expected = torch.from_numpy(blocks(10, 3, 1000))
    write_shards(tmp_path, [expected.numpy()], tokens=3, vocabulary=1000, shard=4)
    rows = Rows.open(tmp_path, CPU)
    order = torch.tensor([9, 0, 4, 3, 3, 8, 7])
    assert rows.shape == (10, 3)
    assert len(rows) == 10
    assert torch.equal(rows[order], expected[order])
    assert torch.equal(rows[order.numpy()], expected[order])
    assert rows[torch.tensor([], dtype=torch.int64)].shape == (0, 3)


@pytest.mark.parametrize(
    "rows", [slice(None), slice(2, 7), slice(-3, None), slice(8, 100), slice(1, 9, 3), slice(5, 5)]
)
def test_slices_are_those_of_a_tensor(tmp_path, rows):
    expected = torch.from_numpy(blocks(10, 3, 1000))
    write_shards(tmp_path, [expected.numpy()], tokens=3, vocabulary=1000, shard=4)
    assert torch.equal(Rows.open(tmp_path, CPU)[rows], expected[rows])


@pytest.mark.parametrize("rows", [[10], [-1, 2], [[1]], [True]])
def test_rows_that_are_not_there_are_refused(tmp_path, rows):
    write_shards(tmp_path, [blocks(10, 3, 9)], tokens=3, vocabulary=9, shard=4)
    with pytest.raises(IndexError):
        Rows.open(tmp_path, CPU)[torch.tensor(rows)]


@pytest.mark.parametrize(("dtype", "shape"), [("float16", (3, 2)), ("int16", (3,)), ("float32", (2, 1, 2))])
def test_latents_and_codes_keep_their_shape_and_type(tmp_path, dtype, shape):
    values = np.random.default_rng(0).normal(size=(9, *shape), scale=100).astype(dtype)
    assert write_array_shards(tmp_path, [values[:5], values[5:]], shape=shape, dtype=dtype, shard=4) == 9
    rows = Rows.open(tmp_path, CPU)
    assert rows.shape == (9, *shape)
    assert torch.equal(rows[torch.tensor([8, 1])], torch.from_numpy(values[[8, 1]]))


def test_rows_are_views_of_the_files(tmp_path):
    write_shards(tmp_path, [blocks(10, 3, 9)], tokens=3, vocabulary=9, shard=4)
    shard = Rows.open(tmp_path, CPU).shards[0]
    assert not shard.flags.owndata
    assert not shard.flags.writeable


def test_a_shard_is_a_file_of_the_datasets_library(tmp_path):
    expected = blocks(5, 3, 1000)
    write_shards(tmp_path, [expected], tokens=3, vocabulary=1000, shard=9)
    found = datasets.Dataset.from_file(str(shard_path(tmp_path, 0))).with_format("torch")
    assert torch.equal(found[:]["values"], torch.from_numpy(expected))


def test_shards_of_a_longer_earlier_run_are_gone(tmp_path):
    for count in (10, 4):
        write_shards(tmp_path, [blocks(count, 3, 9)], tokens=3, vocabulary=9, shard=2)
    assert len(Rows.open(tmp_path, CPU)) == 4


@pytest.mark.parametrize("wrong", [9, -1])
def test_ids_outside_the_vocabulary_are_refused(tmp_path, wrong):
    array = blocks(4, 3, 9)
    array[1, 1] = wrong
    with pytest.raises(ArtifactError, match="vocabulary of 9"):
        write_shards(tmp_path, [array], tokens=3, vocabulary=9, shard=2)


def test_rows_of_another_shape_or_type_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match="shape"):
        write_shards(tmp_path, [blocks(4, 3, 9)], tokens=4, vocabulary=9, shard=2)
    for wrong in (
        np.zeros((2, 3)),
        np.full((2, 3), 32768),
        np.full((2, 3), -32769),
        np.full((2, 3), 2**16 - 1, "uint16"),
    ):
        with pytest.raises(ArtifactError, match=f"{wrong.dtype} do not fit in shards of int16"):
            write_array_shards(tmp_path, [wrong], shape=(3,), dtype="int16", shard=2)


def test_wide_integers_that_fit_and_wide_floats_are_converted(tmp_path):
    for values, dtype in ((np.array([[32767, -32768]]), "int16"), (np.array([[0.1, -3.0]]), "float16")):
        write_array_shards(tmp_path, [values], shape=(2,), dtype=dtype, shard=2)
        assert torch.equal(Rows.open(tmp_path, CPU)[:], torch.from_numpy(values.astype(dtype)))


@pytest.mark.parametrize("arrays", [[], [np.empty((0, 3), np.int64)]])
def test_nothing_to_write_is_refused(tmp_path, arrays):
    with pytest.raises(ArtifactError, match="not one row"):
        write_shards(tmp_path, arrays, tokens=3, vocabulary=9, shard=2)


def test_a_failed_write_leaves_no_file(tmp_path, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_shard(shard_path(tmp_path, 0), blocks(4, 3, 9))
    assert list(tmp_path.iterdir()) == []


def test_missing_and_broken_shards_are_named(tmp_path):
    with pytest.raises(ArtifactError, match=r"00000\.arrow is missing"):
        Rows.open(tmp_path / "nowhere", CPU)
    write_shards(tmp_path, [blocks(6, 3, 9)], tokens=3, vocabulary=9, shard=2)
    whole = shard_path(tmp_path, 1).read_bytes()
    shard_path(tmp_path, 1).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"00001\.arrow is not a whole Arrow file"):
        Rows.open(tmp_path, CPU)
    shard_path(tmp_path, 1).unlink()
    with pytest.raises(ArtifactError, match=r"00001\.arrow is missing"):
        Rows.open(tmp_path, CPU)
    write_shard(shard_path(tmp_path, 1), blocks(2, 4, 9))
    with pytest.raises(ArtifactError, match="unlike"):
        Rows.open(tmp_path, CPU)
