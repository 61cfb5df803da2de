"""One's own files, found and read: formats, fields, layouts, sizes, and the params.yaml that follows."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ladd.errors import ArtifactError, AssetError, ConfigError
from ladd.launch import own_hub, own_sizes
from ladd.launch.own_data import choose_files, find_local_data, format_of, guess_field, look_at, read_texts
from ladd.launch.own_text import Draft, inline, params_text, scalar
from ladd.yaml_files import parse_yaml

ROWS = [{"id": i, "url": f"https://example.org/{i}/long", "land": "abc"[i % 3], "name": f"name {i}"} for i in range(30)]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.txt", "text"),
        ("b.CSV.gz", "csv"),
        ("c.v2.parquet", "parquet"),
        ("d.jsonl.zst", "jsonl"),
        ("e.gz", None),
        ("f", None),
        ("g.xlsx", None),
    ],
)
def test_format_is_told_by_the_suffix(name, kind):
    assert format_of(name) == kind


def test_the_most_frequent_suffix_of_a_folder_is_read():
    glob, kind, notes = choose_files(["a.txt", "sub/b.txt", "c.csv", "README"], "here")
    assert (glob, kind) == ("**/*.txt", "text")
    assert notes == ["2 files *.txt are read, 2 others are left out"]
    with pytest.raises(ConfigError, match=r"no file of here has one of the suffixes .*there are \.xlsx, none"):
        choose_files(["a.xlsx", "LICENSE"], "here")


def test_field_is_guessed_and_the_others_are_named():
    assert guess_field(ROWS, None) == ("name", ["url", "land"], ["id"])
    assert guess_field(ROWS, "land")[0] == "land"
    assert guess_field([row | {"text": "x"} for row in ROWS], None)[0] == "text"
    assert guess_field([{"land": "a"}] * 30, None)[0] == "land"  # nothing else is there


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("nam", r"'nam' is no field \(did you mean 'name'\?\); fields of text are .*'name'"),
        ("id", "'id' has int and not text alone"),
    ],
)
def test_wrong_field_is_refused_with_those_there_are(wanted, message):
    with pytest.raises(ConfigError, match=f"--field: {message}"):
        guess_field(ROWS, wanted)
    with pytest.raises(ConfigError, match=r"no field has text alone; .*others \['id'\]"):
        guess_field([{"id": 1}], None)


def write(folder: Path, kind: str) -> Path:
    """The rows in a file or folder of that kind."""
    if kind == "jsonl":
        (path := folder / "a.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    elif kind == "csv.gz":
        path = folder / "a.csv.gz"
        lines = [",".join(ROWS[0]), *(",".join(map(str, row.values())) for row in ROWS)]
        path.write_bytes(gzip.compress("\n".join(lines).encode()))
    elif kind == "parquet":
        import polars as pl

        pl.DataFrame(ROWS).write_parquet(path := folder / "a.parquet")
    else:
        from datasets import Dataset, DatasetDict

        saved = Dataset.from_list(ROWS)
        saved = DatasetDict({"test": saved, "train": saved}) if kind == "splits" else saved
        saved.save_to_disk(str(path := folder / "saved"))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv.gz", "parquet", "saved", "splits"])
def test_tables_of_every_format_give_the_same_rows(tmp_path, kind):
    found = find_local_data(write(tmp_path, kind), tmp_path, "utf-8")
    assert look_at(found, tmp_path / "scratch") == ROWS
    assert found.asset["name"] in ("saved", f"a.{kind}")  # seen from the root
    documents = read_texts(replace(found, field="name"), tmp_path / "read", 10)
    assert list(documents["text"]) == [row["name"] for row in ROWS[:10]]


def test_files_outside_the_repository_are_named_from_the_root_of_the_disk(tmp_path):
    path = write(tmp_path, "jsonl")
    found = find_local_data(path, tmp_path / "elsewhere", "utf-8")
    assert found.asset["name"] == str(path.resolve())
    assert len(found.asset["sha256"]) == 64


@pytest.mark.parametrize(
    ("error", "name", "content", "message"),
    [
        (ConfigError, "a.txt", b"", "a.txt is empty"),
        (ConfigError, "a.txt", b"\x89PNG\r\n\0\0rest", "is binary, or text of another encoding: byte 6 is 0"),
        (ConfigError, "a.txt.gz", b"no gzip", "cannot be unpacked"),
        (ConfigError, "a.docx", b"PK", "has none of the suffixes .txt"),
        (ArtifactError, "a.parquet", b"no parquet", "of format parquet, cannot be read"),
        (ArtifactError, "a.jsonl", b"{broken\n", "of format jsonl, cannot be read"),
        (ConfigError, "a.csv", b"name\n\xff\xfe\n", "a.csv is not utf-8: byte 0xff; say its encoding"),
        (ConfigError, "a.csv", b"name,k\nabc\0,1\n", "is binary, or text of another encoding: byte 10 is 0"),
        (ConfigError, "a.csv", b"name,code\na-3,c7,\n", r"more fields than the header, \['name', 'code'\]"),
        (ConfigError, "a.csv", b"name\na-3,c7,x\n", r"more fields than the header, \['name'\]"),
        (ConfigError, "a.csv", b"name;kind\na;1\n", "looks separated by semicolons: .*; write it with commas"),
        (ConfigError, "a.csv", b"name;price\na;1,5\n", "looks separated by semicolons"),
        (ConfigError, "a.csv", b"name\tkind\na\t1\n", r"looks separated by tabs: its header is 'name\\tkind'"),
        (ConfigError, "a.csv", b"name|kind\na|1\n", "looks separated by bars"),
        (ArtifactError, "a.csv", b"name,kind\na,b\na,b,c\n", "rename it to the suffix of what it is"),
        (ConfigError, "a[1].txt", b"text", r"/a\[1\].txt' has '\[' in its path, which stands for other files too"),
        (ConfigError, "star*.txt", b"text", r"has '\*' in its path"),
        (ConfigError, "a::b.txt", b"text", "has '::' in its path"),
        (ConfigError, "a\nb.txt", b"text", r"/a\\nb.txt' has a control character in its path"),
        (ConfigError, "a\udcffb.txt", b"text", r"/a\\udcffb.txt' has a control character in its path, or a byte"),
    ],
)
def test_what_is_no_text_and_tables_that_are_none_are_refused(tmp_path, error, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        look_at(find_local_data(tmp_path / name, tmp_path, "utf-8"), tmp_path / "scratch")


def test_names_within_a_folder_are_refused_too(tmp_path):
    (tmp_path / "b[2]").mkdir()
    (tmp_path / "b[2]/0.txt").write_text("text")
    with pytest.raises(ConfigError, match=r"b\[2\]/0.txt' has '\[' in its path"):
        find_local_data(tmp_path, tmp_path, "utf-8")


def test_only_encodings_of_two_and_four_bytes_have_bytes_of_zero(tmp_path):
    (path := tmp_path / "a.txt").write_text("one\ntwo\n", encoding="utf-16")
    assert find_local_data(path, tmp_path, "UTF-16").format == "text"
    with pytest.raises(ConfigError, match="byte 3 is 0"):
        find_local_data(path, tmp_path, "latin-1")
    path.write_bytes(b"x" * (1 << 20) + b"\0")
    with pytest.raises(ConfigError, match=f"byte {1 << 20} is 0"):
        find_local_data(path, tmp_path, "latin-1")
    path.write_bytes("é".encode()[:1])
    with pytest.raises(ConfigError, match="is not utf-8: byte 0xc3"):
        find_local_data(path, tmp_path, "utf-8")


def test_blank_text_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text(" \n\n")
    with pytest.raises(ConfigError, match=r"no document of .* has a visible character"):
        read_texts(find_local_data(tmp_path / "a.txt", tmp_path, "utf-8"), tmp_path / "scratch", None)


@pytest.mark.parametrize(
    ("texts", "whole_files", "layout"),
    [
        (["CCO", "c1ccccc1"] * 9, False, "rows"),
        (["Anna", "Bert"] * 9, True, "rows"),
        (["To be,", "", "or not"] * 9, True, "text"),
        (["a first\nand a second line"] * 9, False, "text"),
        (["word " * 30] * 9, False, "text"),
        (["short"] * 9 + ["long " * 100], False, "text"),
    ],
)
def test_layout_is_guessed(texts, whole_files, layout):
    assert own_sizes.guess_layout(texts, whole_files=whole_files)[0] == layout


def test_rows_take_the_longest_string_or_leave_out_few():
    assert own_sizes.row_tokens([3, 5, 9]) == (10, 0)
    assert own_sizes.row_tokens([1, 2]) == (8, 0)
    assert own_sizes.row_tokens([20] * 999 + [500]) == (20, 1)
    with pytest.raises(ConfigError, match=r"a row has at most 128; take --task text"):
        own_sizes.row_tokens([200] * 10)


def test_blocks_are_shorter_where_there_is_little_text_and_too_little_is_refused():
    assert own_sizes.block_tokens("bpe", 100_000, 0.1) == 64
    assert own_sizes.block_tokens("bpe", 20_000, 0.1) == 32
    with pytest.raises(ConfigError, match="too short: 31 blocks of 32 tokens, of which 20% are held out; at least 32"):
        own_sizes.block_tokens("character", 1000, 0.2)


@pytest.mark.parametrize(("held_out", "samples"), [(32, 8), (47, 8), (48, 12), (10_000, 64)])
def test_every_seed_has_real_sequences_of_its_own_twice(held_out, samples):
    assert own_sizes.samples_of(held_out, "text") == samples
    assert 2 * own_sizes.SEEDS * samples <= held_out


AWKWARD = ["plain.txt", "a b, c: {d}", "**/*.txt", "- x", "1e3", "null", "ü#", 'quote"s', "true", "0123", "#", "a\\b"]


@pytest.mark.parametrize("text", AWKWARD)
def test_values_come_back_from_yaml(text):
    assert parse_yaml(f"key: {scalar(text)} # comment", "x") == {"key": text}
    assert parse_yaml(inline({"a": text, "b": {"c": text}}), "x") == {"a": text, "b": {"c": text}}


def test_params_are_short_and_say_all():
    asset = {"source": "path", "name": "data/a, b.csv", "sha256": "0" * 64}
    train = {"asset": asset, "files": "a.csv", "format": "csv", "field": "the name", "documents": 10}
    draft = Draft("own", "rows", train, {"kind": "character", "vocabulary": 9}, 16, 0.2, cut="lines")
    text = params_text(draft)
    values = parse_yaml(text, "params.yaml")
    assert text.count("\n") <= 25
    assert "licence" in text
    assert values["data"]["own"]["train"] == train
    assert values["sweeps"] == {"ar": {"token_steps": [16]}, "mdlm": {"token_steps": [1, 2, 4, 8, 16]}}


@pytest.fixture
def hub(monkeypatch):
    """A hub with one repository, or none that answers."""
    import huggingface_hub

    known = SimpleNamespace(files=[], error=None)

    class Api:
        def repo_info(self, repo_id, repo_type):
            if known.error:
                raise known.error
            return SimpleNamespace(sha="c" * 40, siblings=[SimpleNamespace(rfilename=name) for name in known.files])

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    return known


def test_hub_offline_says_what_to_do(hub, tmp_path):
    hub.error = ConnectionError("no route")
    with pytest.raises(AssetError, match=r"org/names is no file or folder here.*no route.*pass the file or folder"):
        own_hub.find_hub_data("org/names", tmp_path, "utf-8")
    with pytest.raises(AssetError, match=r"the model of that name.*--tokenizer PATH"):
        own_hub.hub_tokenizer("org/model")


def test_training_files_of_the_hub_are_taken_and_pinned(hub, tmp_path, monkeypatch):
    hub.files = ["README.md", ".gitattributes", "data/train-00.parquet", "data/test-00.parquet"]
    (tmp_path / "data").mkdir()
    for name in hub.files[2:]:
        (tmp_path / name).touch()
    monkeypatch.setattr(own_hub, "asset_folder", lambda asset, root: tmp_path)
    found = own_hub.find_hub_data("org/names", tmp_path, "utf-8")
    assert found.asset == {
        "source": "hub",
        "name": "org/names",
        "revision": "c" * 40,
        "kind": "dataset",
        "file": "*train*.parquet",
    }
    assert found.paths() == [tmp_path / "data/train-00.parquet"]


def test_tokenizer_of_the_hub_is_its_file(hub):
    hub.files = ["config.json"]
    with pytest.raises(AssetError, match=r"org/model has no tokenizer\.json"):
        own_hub.hub_tokenizer("org/model")
    hub.files += ["tokenizer.json"]
    assert own_hub.hub_tokenizer("org/model")["file"] == "tokenizer.json"
