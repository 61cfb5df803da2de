"""Documents of a corpus, one at a time, from the files of its asset.

Every reader is a generator: one document, or one batch of a Parquet row group, is in memory at a time.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast
from xml.etree import ElementTree

from ladd.errors import ArtifactError, ConfigError, reading
from ladd.progress import bar
from ladd.tasks.text.detokenise import DETOKENISERS
from ladd.tasks.text.wiki import wiki_to_prose

if TYPE_CHECKING:
    from ladd.config import CorpusConfig

LONGEST = 2**30  # bytes of a file that is a document, or characters of a line: a packed file may hold zeros without end
REMEDY = "it is cut, damaged or something else: fetch it again, or correct format and encoding of the corpus"
_BOM = "\ufeff"  # at the start of a file, where it says the encoding and is no text
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
            with reading(f"{file}, of format {corpus.format},", REMEDY):
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
    with _open(file) as packed, io.TextIOWrapper(packed, encoding=corpus.encoding) as stream:
        try:
            while line := stream.readline(LONGEST + 1):
                number += 1
                if len(line) > LONGEST:
                    raise _too_long(f"{file}, line {number},", "characters")
                yield (line.removeprefix(_BOM) if number == 1 else line).removesuffix("\n")
        except UnicodeDecodeError as error:
            raise _decoding_error(file, number + 1, error) from error


def _text(file: Path, corpus: CorpusConfig) -> Iterator[str]:
    with _open(file) as packed:
        content = packed.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise _too_long(f"{file}", "bytes")
    with io.TextIOWrapper(io.BytesIO(content), encoding=corpus.encoding) as stream:
        try:
            text = stream.read()
        except UnicodeDecodeError as error:
            raise _decoding_error(file, error.object.count(b"\n", 0, error.start) + 1, error) from error
    yield text.removeprefix(_BOM)


def _too_long(where: str, unit: str) -> ArtifactError:
    return ArtifactError(f"{where} has more than {LONGEST:,} {unit}, too many for one document; split it")


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
        except (ValueError, RecursionError) as error:  # a number of 5,000 digits; lists in lists in lists
            raise ArtifactError(f"{where} is not JSON: {error}; repair the file or set another format") from error
        if not isinstance(row, dict) or field not in row:
            found = ", ".join(row)[:300] if isinstance(row, dict) else type(row).__name__
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
        table = pq.ParquetFile(file, memory_map=True, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise ArtifactError(f"{file} is not a whole Parquet file: {error}") from error
    with table:
        names = table.schema_arrow.names
        if names.count(field) != 1:
            fault = "has two fields" if field in names else "has no field"
            raise ArtifactError(f"{file} {fault} {field!r}, only: {', '.join(names)[:300]}")
        row = 0
        for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=[field]):
            for value in batch.column(field):
                yield _string(value.as_py(), f"{file}, row {row}", field)
                row += 1
        if row != table.metadata.num_rows:
            promised = table.metadata.num_rows
            raise ArtifactError(f"{file} has {row} rows, and says that it has {promised}; fetch it again")


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
