"""Documents of every format, and what is said of files that are not of it."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path
from types import SimpleNamespace

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ladd.errors import ArtifactError
from ladd.tasks.text import documents
from ladd.tasks.text.documents import read_documents


@pytest.fixture
def scratch(tmp_path, monkeypatch) -> Path:
    """What the library keeps on disk."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    datasets.disable_progress_bars()
    return tmp_path / "scratch"


@pytest.fixture
def read(scratch):
    """Documents of some files, as a list."""

    def read(kind: str, *files: Path, workers: int = 1, **changes) -> list[str]:
        values = {"format": kind, "field": None, "encoding": "utf-8", "detokeniser": "none", "documents": None}
        scratch.mkdir(exist_ok=True)
        return list(read_documents(SimpleNamespace(**values | changes), list(files), scratch, workers)["text"])

    return read


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_file_is_a_document_and_files_come_in_the_order_given(tmp_path, read):
    one, two, blank = (write(tmp_path / name, text) for name, text in [("1", "a\n\nb\n"), ("2", "c"), ("3", " \n")])
    assert read("text", two, blank, one) == ["c", "a\n\nb\n"]


def test_a_line_is_a_document_whatever_ends_it(tmp_path, read):
    file = write(tmp_path / "a", "first line\r\n\n  \nsecond\u2028line\nlast")
    assert read("lines", file) == ["first line", "second\u2028line", "last"]


def test_packed_files_are_read(tmp_path, read):
    packers = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}
    files = [write(tmp_path / f"a.{name}", pack(f"{name}\nb".encode())) for name, pack in packers.items()]
    assert read("lines", *files) == ["gz", "b", "bz2", "b", "xz", "b"]


def test_the_encoding_is_that_of_the_corpus(tmp_path, read):
    file = write(tmp_path / "a", "caf\u00e9".encode("latin-1"))
    assert read("text", file, encoding="latin-1") == ["caf\u00e9"]
    for kind in ("text", "lines"):
        with pytest.raises(ArtifactError, match=r"a: byte 0xe9 is not utf-8; set the encoding"):
            read(kind, file)


def test_documents_are_detokenised_and_counted_after_empty_ones_are_dropped(tmp_path, read):
    file = write(tmp_path / "a", "\nYes , sir .\n\nOh no .\nMore .\n")
    assert read("lines", file, detokeniser="mdlm-lm1b", documents=2) == ["Yes, sir.", "Oh no."]


def test_rows_of_every_format(tmp_path, read):
    texts = ["a\n\u00e9", None, " ", "\U0001f600", 'said "NA", twice']
    expected = ["a\n\u00e9", "\U0001f600", 'said "NA", twice']
    table = pa.table({"id": range(5), "text": texts})
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate(texts)]
    write(tmp_path / "a.jsonl", "\n\n".join(lines))
    write(tmp_path / "a.csv", 'id,text\n0,"a\n\u00e9"\n1,\n2, \n3,\U0001f600\n4,"said ""NA"", twice"\n')
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    datasets.Dataset(table).save_to_disk(tmp_path / "folder")
    arrow = next((tmp_path / "folder").glob("*.arrow"))
    files = {"jsonl": "a.jsonl", "csv": "a.csv", "parquet": "a.parquet", "arrow": arrow, "folder": arrow}
    for kind, file in files.items():
        assert read(kind, tmp_path / file, field="text") == expected, kind
        with pytest.raises(ArtifactError, match=r": no field 'body', only: id, text"):
            read(kind, tmp_path / file, field="body")
    for kind in ("jsonl", "parquet"):
        with pytest.raises(ArtifactError, match=r": field 'id' is int64, not text; name a field of text"):
            read(kind, tmp_path / files[kind], field="id")


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(tmp_path, read, workers):
    file = write(tmp_path / "a", "\n".join(f"line {number}" for number in range(700)))
    assert read("lines", file, workers=workers) == [f"line {number}" for number in range(700)]


@pytest.mark.parametrize(
    "line",
    ['["text"]', '{"text": "x', '{"text": "\\ud800"}', '{"text": ' + "9" * 5000 + "}", "[" * 100_000],
    ids=lambda value: value[:30],
)
def test_errors_of_jsonl_name_the_file(tmp_path, read, line):
    fine = write(tmp_path / "fine.jsonl", '{"text": "fine"}\n')
    file = write(tmp_path / "rows.jsonl", '{"text": "fine"}\n' + line)
    with pytest.raises(ArtifactError) as caught:
        read("jsonl", fine, file, field="text")
    assert "rows.jsonl" in str(caught.value)
    assert "\n" not in str(caught.value)


LINES = b"".join(b'{"text": "line %d"}\n' % number for number in range(3000))


def damaged(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + b"\xff" * 50 + content[middle + 50 :]


@pytest.mark.parametrize("kind", ["text", "lines", "jsonl"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.gz", gzip.compress(LINES)[:-20]),
        ("damaged.gz", damaged(gzip.compress(LINES))),
        ("cut.bz2", bz2.compress(LINES)[:-20]),
        ("damaged.bz2", damaged(bz2.compress(LINES))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_packed_files_are_one_line_with_file_and_remedy(tmp_path, read, kind, name, content):
    file = write(tmp_path / name, content)
    with pytest.raises(ArtifactError) as caught:
        read(kind, file, field="text" if kind == "jsonl" else None)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)
    if not name.startswith("damaged"):  # what comes before the damage may be no UTF-8, or no JSON
        assert f"{name}, of format {kind}, cannot be read (" in str(caught.value)
        assert "fetch it again" in str(caught.value)


def test_broken_rows_are_one_line_with_file_and_remedy(tmp_path, read):
    whole = write(tmp_path / "b.parquet", b"PAR1 and no more")
    broken = pa.array([b"fine", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    for file in (tmp_path / "a.parquet", whole):
        with pytest.raises(ArtifactError) as caught:
            read("parquet", file, field="text")
        assert str(caught.value).startswith(str(file))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["text", "lines"])
def test_a_byte_order_mark_is_no_text(tmp_path, read, kind):
    file = write(tmp_path / "a", "\ufefffirst \ufeffsecond")
    assert read(kind, file) == ["first \ufeffsecond"]


def test_a_document_without_end_is_refused(tmp_path, read, monkeypatch):
    monkeypatch.setattr(documents, "LONGEST", 1000)
    assert read("text", write(tmp_path / "short.gz", gzip.compress(b"x" * 1000))) == ["x" * 1000]
    with pytest.raises(ArtifactError, match=r"long\.gz has more than 1,000 bytes, too many for one document; split it"):
        read("text", write(tmp_path / "long.gz", gzip.compress(b"x" * 1001)))
