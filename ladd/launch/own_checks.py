"""What `ladd new` refuses: names of files, encodings, columns, tokenizers and texts that cannot be meant."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterable
from pathlib import Path

from ladd.config.messages import cut, shown
from ladd.errors import ConfigError
from ladd.tasks.text.documents import LONGEST
from ladd.tasks.text.tokenizer import Tokenizer

INDEX = "__index_level_0__"  # what datasets calls the fields that rows of CSV have before those of the header
SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
PATTERN = re.compile(r"[*?\[\]]|::")  # datasets looks for all files that match, and opens `a::b` as b within a
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")  # Python reads a byte that is no UTF-8 as one of the last
LONGEST_RUN = 20_000  # characters: its merges take a third of a second, those of ten times as many a hundred times that
# What BPE learns its merges in: the pre-tokeniser splits between letters, digits, spaces and anything else.
RUN = re.compile(r"[^\W\d_]+|\d+|\s+|(?:[^\w\s]|_)+")


def existing_path(option: str, name: str) -> Path | None:
    """The file or folder of that name, or None where there is none. Raises ConfigError: it cannot be looked for."""
    if not name:
        raise ConfigError(f"{option}: '' names nothing; give a file, a folder, or ORGANISATION/NAME of the hub")
    try:
        path = Path(name).expanduser()
        return path if path.exists() else None
    except (OSError, RuntimeError, ValueError) as error:  # too long, or no such user behind ~
        raise ConfigError(f"{option}: {name[:200]!r} cannot be looked for ({error}); correct the path") from error


def check_encoding(encoding: str) -> None:
    """Refuse what Python cannot read files with. Raises ConfigError."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        "a".encode(encoding)
    except (LookupError, ValueError):  # unknown, not of text, or not for files
        raise ConfigError(
            f"--encoding: {cut(repr(encoding), 200)} is no encoding of text; write one of Python's, such as utf-8, "
            "utf-16 or latin-1"
        ) from None


def check_file_name(path: Path) -> None:
    """Refuse a file whose name, or a folder above it, reads as something else. Raises ConfigError."""
    name = str(path.resolve())
    if found := PATTERN.search(name):
        raise ConfigError(
            f"--data: {name!r} has {found[0]!r} in its path, which stands for other files too; rename the file or "
            "folder"
        )
    if UNPRINTABLE.search(name):
        raise ConfigError(
            f"--data: {name!r} has a control character in its path, or a byte that is not UTF-8, which params.yaml "
            "cannot name; rename the file or folder"
        )


def check_content(file: Path, encoding: str) -> None:
    """Refuse a file, packed or not, that is not text of an encoding. Raises ConfigError."""
    import fsspec

    wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
    decoder = codecs.getincrementaldecoder(encoding)()
    place = 0
    try:
        with fsspec.open(str(file), "rb", compression="infer") as stream:
            while place <= LONGEST and (part := stream.read(1 << 20)):
                if not wide and b"\0" in part:
                    raise ConfigError(
                        f"--data: {file} is binary, or text of another encoding: byte {place + part.index(0)} is 0; "
                        "leave it out, or say the encoding (--encoding utf-16)"
                    )
                decoder.decode(part)
                place += len(part)
            if place <= LONGEST:
                decoder.decode(b"", final=True)
    except UnicodeError as error:
        said = " ".join(str(error).split())
        byte = f"byte 0x{error.object[error.start]:02x}" if isinstance(error, UnicodeDecodeError) else said
        remedy = "say its encoding (--encoding latin-1), or leave it out if it is binary"
        raise ConfigError(f"--data: {file} is not {encoding}: {byte}; {remedy}") from error
    except ConfigError:
        raise
    except Exception as error:  # of whatever unpacks it
        raise ConfigError(f"--data: {file} cannot be unpacked ({error}); pack it again") from error


def check_columns(file: Path, columns: Iterable[str]) -> None:
    """Refuse CSV whose header is not that of its rows, or that has other separators. Raises ConfigError."""
    named = [name for name in columns if not re.fullmatch(r"__index_level_\d+__", name)]
    used = [separator for separator in SEPARATORS if separator in named[0]] if len(named) == 1 else []
    if used:
        raise ConfigError(
            f"--data: {file} looks separated by {SEPARATORS[used[0]]}: its header is {shown(named[0])}; write it with "
            "commas"
        )
    if INDEX in columns:
        raise ConfigError(
            f"--data: {file} has rows with more fields than the header, {cut(repr(named))}, so that no name stands "
            "above its own column; remove the commas at the ends of rows, or name every column"
        )


def check_tokenizer(path: Path) -> None:
    """Refuse a tokenizer.json that cannot be used.

    Raises:
        ArtifactError: it is none.
        ConfigError: it has no tokens, or none to separate documents with.
    """
    try:
        Tokenizer.load(path)
    except ConfigError as error:
        raise ConfigError(f"--tokenizer: {path}: {str(error).removeprefix('tokenizer: ')}") from error
    except ValueError as error:  # there is no largest id
        raise ConfigError(
            f"--tokenizer: {path} has no tokens: its vocabulary is empty; name another, bpe or character"
        ) from error


def check_different(texts: Iterable[str]) -> None:
    """Refuse documents that are all one. Raises ConfigError."""
    all_texts = iter(texts)
    first = next(all_texts, None)
    if first is not None and all(text == first for text in all_texts):
        raise ConfigError(
            f"--data: every document is {shown(first)}, so what is held out would be what is trained on; name other "
            "data, or another --field"
        )


def check_runs(texts: Iterable[str], where: object) -> None:
    """Refuse text that merges cannot be learned on in reasonable time. Raises ConfigError.

    Args:
        where: the data, for the message.
    """
    long_texts = (text for text in texts if len(text) > LONGEST_RUN)
    longest = max((found[0] for text in long_texts for found in RUN.finditer(text)), key=len, default="")
    if len(longest) > LONGEST_RUN:
        raise ConfigError(
            f"--tokenizer bpe: {where} has no space in {len(longest):,} characters ({longest[:20]!r} ...), and merges "
            f"are learned between spaces, in at most {LONGEST_RUN:,}; take --tokenizer character"
        )
