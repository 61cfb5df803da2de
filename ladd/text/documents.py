"""Documents of a corpus, one at a time, from the files of its asset.

Every reader is a generator: one document, or one batch of a Parquet row group, is in memory at a time.
"""

from __future__ import annotations

import bz2
import gzip
import html
import io
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from xml.etree import ElementTree

from ladd.errors import ArtifactError, ConfigError
from ladd.progress import bar
from ladd.text.detokenise import DETOKENISERS

if TYPE_CHECKING:
    from ladd.config import CorpusConfig

_PARQUET_ROWS = 256
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_documents(corpus: CorpusConfig, files: list[Path]) -> Iterator[str]:
    """The documents of ``files``, in order, detokenised; those without a visible character are dropped.

    Args:
        corpus: format, field, encoding, detokeniser, and the number of documents to stop at, if any.
        files: of that format; text formats may be packed as .gz or .bz2.
    Raises:
        ConfigError: there is no such format or detokeniser, or the format needs a field and has none.
        ArtifactError: a file is not of the format; the message names the file, the line and the field.
    """
    reader, detokenise = READERS.get(corpus.format), DETOKENISERS.get(corpus.detokeniser)
    if reader is None:
        raise ConfigError(f"format: {corpus.format!r} is none of {', '.join(READERS)}")
    if detokenise is None:
        raise ConfigError(f"detokeniser: {corpus.detokeniser!r} is none of {', '.join(DETOKENISERS)}")
    if corpus.format in ("jsonl", "parquet") and not corpus.field:
        raise ConfigError(f"field: format {corpus.format} needs the name of the field that holds the text")
    texts = (detokenise(text) for text in _all_texts(reader, corpus, files))
    return islice((text for text in texts if text and not text.isspace()), corpus.documents)


def _all_texts(
    reader: Callable[[Path, CorpusConfig], Iterator[str]], corpus: CorpusConfig, files: list[Path]
) -> Iterator[str]:
    """The texts of all files, with a bar that moves by the size of each."""
    sizes = [file.stat().st_size for file in files]
    with bar("documents", sum(sizes), "B", scale=True) as progress:
        for file, size in zip(files, sizes, strict=True):
            yield from reader(file, corpus)
            progress.update(size)


def _open(file: Path) -> BinaryIO:
    """The bytes of a file, unpacked by its suffix."""
    if file.suffix == ".bz2":
        return cast(BinaryIO, bz2.open(file, "rb"))
    if file.suffix == ".gz":
        return cast(BinaryIO, gzip.open(file, "rb"))
    return file.open("rb")


def _decoding_error(file: Path, line: int, error: UnicodeDecodeError) -> ArtifactError:
    byte = error.object[error.start]
    return ArtifactError(
        f"{file}, line {line} or soon after: byte 0x{byte:02x} is not {error.encoding}; set the encoding of the corpus"
    )


def _lines(file: Path, corpus: CorpusConfig) -> Iterator[str]:
    number = 0
    with io.TextIOWrapper(_open(file), encoding=corpus.encoding) as stream:
        try:
            for line in stream:
                number += 1
                yield line.removesuffix("\n")
        except UnicodeDecodeError as error:
            raise _decoding_error(file, number + 1, error) from error


def _text(file: Path, corpus: CorpusConfig) -> Iterator[str]:
    with io.TextIOWrapper(_open(file), encoding=corpus.encoding) as stream:
        try:
            text = stream.read()
        except UnicodeDecodeError as error:
            raise _decoding_error(file, error.object.count(b"\n", 0, error.start) + 1, error) from error
    yield text


def _string(value: object, where: str, field: str) -> str:
    """A field's text; null, which means that the row has none, is an empty document."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ArtifactError(f"{where}: field {field!r} is {type(value).__name__}, not text; name a field of text")
    return value


def _jsonl(file: Path, corpus: CorpusConfig) -> Iterator[str]:
    field = corpus.field or ""
    for number, line in enumerate(_lines(file, corpus), 1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ArtifactError(f"{where} is not JSON: {error}; repair the file or set another format") from error
        if not isinstance(row, dict) or field not in row:
            found = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            raise ArtifactError(f"{where} has no field {field!r}, only: {found}")
        text = _string(row[field], where, field)
        if _SURROGATE.search(text):
            raise ArtifactError(f"{where}, field {field!r}: half of a surrogate pair is not text; repair the file")
        yield text


def _parquet(file: Path, corpus: CorpusConfig) -> Iterator[str]:
    # Here, so that the module imports without it.
    import pyarrow as pa
    import pyarrow.parquet as pq

    field = corpus.field or ""
    try:
        table = pq.ParquetFile(file, memory_map=True)
    except pa.ArrowInvalid as error:
        raise ArtifactError(f"{file} is not a whole Parquet file: {error}") from error
    with table:
        if field not in table.schema_arrow.names:
            raise ArtifactError(f"{file} has no field {field!r}, only: {', '.join(table.schema_arrow.names)}")
        row = 0
        for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=[field]):
            for value in batch.column(field):
                yield _string(value.as_py(), f"{file}, row {row}", field)
                row += 1


def _wikipedia(file: Path, corpus: CorpusConfig) -> Iterator[str]:
    """The prose of every article of a MediaWiki dump (the file itself says its encoding)."""
    with _open(file) as stream:
        try:
            events = ElementTree.iterparse(stream, events=("start", "end"))
            _, root = next(events)
            for event, element in events:
                if event == "end" and element.tag.rpartition("}")[2] == "page":
                    source = _article(element)
                    root.clear()  # else every page read so far stays in memory
                    yield wiki_to_prose(source)
        except (ElementTree.ParseError, EOFError, OSError) as error:
            raise ArtifactError(f"{file} is not a whole MediaWiki XML dump: {error}; fetch it again") from error


def _article(page: ElementTree.Element) -> str:
    """The wiki text of a page's last revision; nothing for redirects and for pages outside the main namespace."""
    revisions = page.findall("{*}revision")
    source = (revisions[-1].findtext("{*}text") or "") if revisions else ""
    redirect = page.find("{*}redirect") is not None or source[:9].upper() == "#REDIRECT"
    return "" if redirect or page.findtext("{*}ns", "0") != "0" else source


READERS: dict[str, Callable[[Path, CorpusConfig], Iterator[str]]] = {
    "text": _text,
    "lines": _lines,
    "jsonl": _jsonl,
    "parquet": _parquet,
    "wikipedia": _wikipedia,
}

# --- Wiki markup ---

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_EMPTY_ELEMENT = re.compile(r"<(?:ref|references|gallery|section)\b[^<>]*?/>", re.IGNORECASE)
_ELEMENT = re.compile(
    r"<(ref|references|math|chem|gallery|timeline|imagemap|syntaxhighlight|source|score|table|hiero|graph|mapframe)"
    r"\b[^<>]*>.*?</\1\s*>",
    re.IGNORECASE | re.DOTALL,
)
_BRACES = re.compile(r"\{\{|\}\}|^[ \t:*#]*\{\||^[ \t]*\|\}", re.MULTILINE)
_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_WEB_LINK = re.compile(r"\[(?:(?:https?|ftp):)?//[^\s\]]*\s*([^\]\n]*)\]")
_DROPPED_LINK = re.compile(r"\s*(?:file|image|category|media)\s*:", re.IGNORECASE)
_LANGUAGE_LINK = re.compile(r"(?:[a-z]{2,3}|simple)(?:-[a-z]+)*:")
_LEFT_OVER = re.compile(r"\{\{|\}\}|\[\[|\]\]|__[A-Z]+__|'{2,5}")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
_APPENDIX = re.compile(
    r"^==[ \t]*(?:see also|references|external links|further reading|notes|footnotes|citations|bibliography|sources)"
    r"[ \t]*==[ \t]*$.*?(?=^==[^=]|\Z)",
    re.IGNORECASE | re.DOTALL | re.MULTILINE,
)
_HEADING = re.compile(r"^=+[^\n]*=+[ \t]*$", re.MULTILINE)
_TABLE_ROW = re.compile(r"^[ \t]*(?:[|!]|\{\|)[^\n]*$", re.MULTILINE)
_LIST_MARK = re.compile(r"^[*#:;]+[ \t]*|^-{4,}", re.MULTILINE)
_EMPTY_BRACKETS = re.compile(r"[ \t]*\([\s,;:]*\)")
_BRACKET_START = re.compile(r"\([ \t]*[,;:][\s,;:]*")
_HOLE = re.compile(r"[ \t]+(?=[,.;:)](?:\s|$))")


def wiki_to_prose(source: str) -> str:
    """Plain paragraphs of a wiki text.

    Links leave their text; templates, tables, references, formulas, files, categories, headings, comments and the lists
    at the end (notes, further reading, ...) leave nothing: a sentence whose number was in a template has a hole there.
    Names of sections and namespaces are the English ones.
    """
    text = _ELEMENT.sub("", _EMPTY_ELEMENT.sub("", _COMMENT.sub("", source)))
    text = _WEB_LINK.sub(r"\1", _drop_braces(text))
    links = 1
    while links:  # from the inside out, as captions of files hold links
        text, links = _LINK.subn(_link_text, text)
    text = _TAG.sub("", _BREAK.sub(" ", _LEFT_OVER.sub("", text)))
    text = _HEADING.sub("", _APPENDIX.sub("", text))
    text = _LIST_MARK.sub("", _TABLE_ROW.sub("", text))
    text = html.unescape(text).replace("\xa0", " ")
    text = _HOLE.sub("", _BRACKET_START.sub("(", _EMPTY_BRACKETS.sub("", text)))
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _link_text(match: re.Match[str]) -> str:
    target, bar, shown = match[1].partition("|")
    if _DROPPED_LINK.match(target) or (not bar and _LANGUAGE_LINK.match(target)):
        return ""
    return shown.rpartition("|")[2] if bar else target.removeprefix(":")


def _drop_braces(text: str) -> str:
    """Without {{templates}} and {| tables |}, which nest in each other; a brace without partner stays."""
    opened: list[tuple[str, int]] = []
    dropped: list[tuple[int, int]] = []
    position = 0
    while match := _BRACES.search(text, position):
        mark, position = match[0].lstrip(" \t:*#"), match.end()
        if mark in ("{{", "{|"):
            opened.append((mark, match.end() - 2))
            continue
        partner = "{{" if mark == "}}" else "{|"
        if mark == "|}" and (not opened or opened[-1][0] != "{|"):
            position -= 1  # the bar belongs to a template, as in "|}}": look at the brace again
            continue
        if all(kind != partner for kind, _ in opened):
            continue
        kind, start = opened.pop()
        while kind != partner:
            kind, start = opened.pop()
        while dropped and dropped[-1][0] > start:  # inside this one
            dropped.pop()
        dropped.append((start, match.end()))
    kept, end = [], 0
    for start, stop in dropped:
        kept.append(text[end:start])
        end = stop
    return "".join([*kept, text[end:]])
