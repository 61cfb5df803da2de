"""Documents of every format, and what is said of files that are not of it."""

import bz2
import gzip
import json
import tracemalloc
from itertools import islice
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ladd.errors import ArtifactError, ConfigError
from ladd.tasks.text import documents
from ladd.tasks.text.documents import read_documents, wiki_to_prose


def corpus(kind: str, **changes) -> SimpleNamespace:
    values = {"format": kind, "field": None, "encoding": "utf-8", "detokeniser": "none", "documents": None}
    return SimpleNamespace(**values | changes)


def read(kind: str, *files, **changes) -> list[str]:
    return list(read_documents(corpus(kind, **changes), list(files)))


def write(path, content: str | bytes):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_file_is_a_document_and_files_come_in_the_order_given(tmp_path):
    one, two, blank = (write(tmp_path / name, text) for name, text in [("1", "a\n\nb\n"), ("2", "c"), ("3", " \n")])
    assert read("text", two, blank, one) == ["c", "a\n\nb\n"]


def test_a_line_is_a_document_whatever_ends_it(tmp_path):
    file = write(tmp_path / "a", "first line\r\n\n  \nsecond\u2028line\nlast")
    assert read("lines", file) == ["first line", "second\u2028line", "last"]


def test_packed_files_are_read(tmp_path):
    files = [write(tmp_path / "a.gz", gzip.compress(b"a\nb")), write(tmp_path / "b.bz2", bz2.compress(b"c\n"))]
    assert read("lines", *files) == ["a", "b", "c"]


def test_the_encoding_is_that_of_the_corpus(tmp_path):
    file = write(tmp_path / "a", "caf\u00e9".encode("latin-1"))
    assert read("text", file, encoding="latin-1") == ["caf\u00e9"]
    for kind in ("text", "lines"):
        with pytest.raises(ArtifactError, match=r"a, line 1.*0xe9 is not utf-8; set the encoding"):
            read(kind, file)


def test_documents_are_detokenised_and_counted_after_empty_ones_are_dropped(tmp_path):
    file = write(tmp_path / "a", "\nYes , sir .\n\nOh no .\nMore .\n")
    assert read("lines", file, detokeniser="mdlm-lm1b", documents=2) == ["Yes, sir.", "Oh no."]


def test_jsonl_fields(tmp_path):
    rows = [{"text": "a\n\u00e9", "id": 1}, {"text": None}, {"text": " "}, {"text": "\U0001f600"}]
    file = write(tmp_path / "a.jsonl", "\n\n".join(map(json.dumps, rows)))
    assert read("jsonl", file, field="text") == ["a\n\u00e9", "\U0001f600"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"body": "x", "id": 3}', r"line 2 has no field 'text', only: body, id"),
        ('["text"]', r"line 2 has no field 'text', only: list"),
        ('{"text": 3}', r"line 2: field 'text' is int"),
        ('{"text": "x', r"line 2 is not JSON"),
        ('{"text": "\\ud800"}', r"line 2, field 'text': half of a surrogate"),
        ('{"text": ' + "9" * 5000 + "}", r"line 2 is not JSON"),
        ("[" * 100_000, r"line 2 is not JSON"),
    ],
    ids=lambda value: value[:30],
)
def test_errors_of_jsonl_name_file_line_and_field(tmp_path, line, message):
    file = write(tmp_path / "rows.jsonl", '{"text": "fine"}\n' + line)
    with pytest.raises(ArtifactError, match=r"rows\.jsonl, " + message):
        read("jsonl", file, field="text")


def test_parquet_rows_of_all_row_groups(tmp_path):
    texts = [f"document {index}" for index in range(600)] + [None, ""]
    pq.write_table(pa.table({"text": texts, "id": range(602)}), tmp_path / "a.parquet", row_group_size=350)
    assert read("parquet", tmp_path / "a.parquet", field="text") == texts[:600]
    with pytest.raises(ArtifactError, match=r"a\.parquet has no field 'body', only: text, id"):
        read("parquet", tmp_path / "a.parquet", field="body")
    with pytest.raises(ArtifactError, match=r"a\.parquet, row 0: field 'id' is int"):
        read("parquet", tmp_path / "a.parquet", field="id")
    with pytest.raises(ArtifactError, match="not a whole Parquet file"):
        read("parquet", write(tmp_path / "b.parquet", b"PAR1 and no more"), field="text")


def test_what_the_configuration_lacks_is_named(tmp_path):
    for changes in ({"format": "csv"}, {"detokeniser": "c4"}, {"format": "jsonl"}):
        with pytest.raises(ConfigError, match=r"csv|c4|needs the name of the field"):
            read_documents(corpus("text", **changes), [tmp_path / "a"])


def page(title: str, text: str, inside: str = "<ns>0</ns>") -> str:
    return f"<page><title>{title}</title>{inside}<revision><text>{text}</text></revision></page>"


def dump(*pages: str) -> str:
    return f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/">{"".join(pages)}</mediawiki>'


def test_a_dump_gives_its_articles_alone(tmp_path):
    text = dump(
        page("One", "The ''first'' &lt;b&gt;article&lt;/b&gt; &amp;amp; more."),
        page("Talk:One", "Talk.", "<ns>1</ns>"),
        page("Old name", "#REDIRECT [[One]]", '<ns>0</ns><redirect title="One"/>'),
        page("Older name", "#redirect [[One]]"),
        page("Two", "Second."),
    )
    expected = ["The first article & more.", "Second."]
    assert read("wikipedia", write(tmp_path / "a.xml", text)) == expected
    assert read("wikipedia", write(tmp_path / "a.xml.bz2", bz2.compress(text.encode()))) == expected


@pytest.mark.parametrize("packed", [False, True])
def test_half_a_dump_is_an_error(tmp_path, packed):
    content = dump(page("One", "First."), page("Two", "Second.")).encode()
    content = bz2.compress(content) if packed else content
    file = write(tmp_path / ("a.bz2" if packed else "a.xml"), content[: len(content) - 20])
    with pytest.raises(ArtifactError, match="not a whole MediaWiki XML dump"):
        read("wikipedia", file)


def test_memory_of_a_dump_is_that_of_a_page(tmp_path):
    file = write(tmp_path / "a.xml", dump(*(page(str(index), "prose " * 2000) for index in range(200))))
    documents = read_documents(corpus("wikipedia"), [file])
    next(documents)
    tracemalloc.start()
    assert sum(1 for _ in documents) == 199
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < file.stat().st_size / 4


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
        ("false.gz", LINES),
        ("cut.bz2", bz2.compress(LINES)[:-20]),
        ("damaged.bz2", damaged(bz2.compress(LINES))),
        ("false.bz2", LINES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_broken_packed_files_are_one_line_with_file_and_remedy(tmp_path, kind, name, content):
    file = write(tmp_path / name, content)
    with pytest.raises(ArtifactError) as caught:
        read(kind, file, field="text")
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)
    if not name.startswith("damaged"):  # what comes before the damage may be no UTF-8, or no JSON
        assert f"{name}, of format {kind}, cannot be read (" in str(caught.value)
        assert "fetch it again" in str(caught.value)


def test_an_encoding_that_python_does_not_know_is_an_error(tmp_path):
    for encoding in ("utf-9", "undefined"):
        with pytest.raises(ArtifactError, match=r"cannot be read .*correct format and encoding"):
            read("lines", write(tmp_path / "a", "text"), encoding=encoding)


@pytest.mark.parametrize("kind", ["text", "lines"])
def test_a_byte_order_mark_is_no_text(tmp_path, kind):
    file = write(tmp_path / "a", "\ufefffirst \ufeffsecond")
    assert read(kind, file) == ["first \ufeffsecond"]
    rows = write(tmp_path / "b", '\ufeff{"text": "a"}\n{"text": "\ufeffb"}')
    assert read("jsonl", rows, field="text") == ["a", "\ufeffb"]


@pytest.mark.parametrize("kind", ["text", "lines"])
def test_a_document_without_end_is_refused(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(documents, "LONGEST", 1000)
    assert read(kind, write(tmp_path / "short.gz", gzip.compress(b"x" * 1000))) == ["x" * 1000]
    with pytest.raises(ArtifactError, match=r"long\.gz.* has more than 1,000 .*, too many for one document; split it"):
        read(kind, write(tmp_path / "long.gz", gzip.compress(b"x" * 1001)))


def test_parquet_with_broken_text_or_a_field_twice_is_an_error(tmp_path):
    broken = pa.array([b"fine", b"\xff\xfe"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    with pytest.raises(ArtifactError, match=r"a\.parquet, of format parquet, cannot be read"):
        read("parquet", tmp_path / "a.parquet", field="text")
    column = pa.array(["a"])
    pq.write_table(pa.Table.from_arrays([column, column], ["text", "text"]), tmp_path / "b.parquet")
    with pytest.raises(ArtifactError, match=r"b\.parquet has two fields 'text', only: text, text"):
        read("parquet", tmp_path / "b.parquet", field="text")


def test_parquet_pages_are_held_to_their_checksums(tmp_path):
    table = pa.table({"text": [f"document {index}" for index in range(1000)]})
    path = tmp_path / "a.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[5000:5200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"a\.parquet, of format parquet, cannot be read .*fetch it again"):
        read("parquet", path, field="text")


def test_only_what_is_asked_for_is_read(tmp_path):
    file = write(tmp_path / "a.jsonl", '{"text": "a"}\nnot JSON')
    assert list(islice(read_documents(corpus("jsonl", field="text"), [file]), 1)) == ["a"]
    assert read("jsonl", file, field="text", documents=1) == ["a"]


@pytest.mark.parametrize(
    ("markup", "prose"),
    [
        ("'''Bold''', ''slanted'' and '''''both'''''.", "Bold, slanted and both."),
        ("A [[link]], [[target page|shown]] and [[:Category:X]].", "A link, shown and Category:X."),
        ("[[File:a.jpg|thumb|A [[cat]] at [http://a.b home]]]Text.", "Text."),
        ("Text.\n\n[[Category:Cats]]\n[[fr:Chat]]\n[[zh-min-nan:Niau]]", "Text."),
        ("See [http://a.b/c the site] and [//a.b]. [1] stays.", "See the site and. [1] stays."),
        ("One{{note|{{a|b}}|}} two{{convert|5|km}}.", "One two."),
        ("Before\n{| class=x\n! head\n|-\n| {{a|\n|}} cell\n{|\n| inner\n|}\n|}\nAfter", "Before\n\nAfter"),
        ("{{Infobox\n| a = {|\n|}\n| b = c\n|}}Text.", "Text."),
        ('Fact<ref name="a/b" /> and<ref>{{cite|x}}</ref> more<ref name=c>d</ref>.', "Fact and more."),
        ("A<!-- hidden\n\ntext -->B <math>x < y</math>C", "AB C"),
        ("== Heading ==\nText.\n=== Deeper ===\nMore.", "Text.\n\nMore."),
        (
            "Text.\n== See also ==\n* [[Other]]\n=== Sub ===\nx\n== History ==\nMore.\n==References==\n* A book",
            "Text.\n\nMore.",
        ),
        ("* one\n** two\n# three\n: four\n----", "one\ntwo\nthree\nfour"),
        ("5&nbsp;km &lt;b&gt; &amp; caf&eacute;<br />new", "5 km <b> & caf\u00e9 new"),
        ("Plato ({{lang|grc|x}}; born {{x}}) and ({{IPA}}) him {{x}}, too.", "Plato (born) and him, too."),
        ("Lone {{ brace, [[ and text }} ]] __NOTOC__.", "Lone."),
        ("An unclosed {{ brace\n\nand {{a}}text", "An unclosed brace\n\nand text"),
        ("a < b and c > d, f(x) = {1, 2}", "a < b and c > d, f(x) = {1, 2}"),
    ],
)
def test_markup_becomes_prose(markup, prose):
    assert wiki_to_prose(markup) == prose
