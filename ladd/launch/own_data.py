"""One's own data, found: what format files are in, which field has the text, and how they are named in params.yaml."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ladd.assets import asset_files, listing_hash
from ladd.config.messages import checked, cut
from ladd.errors import ArtifactError, ConfigError, nearest
from ladd.files import file_hash
from ladd.launch.own_checks import check_columns, check_content, check_file_name
from ladd.tasks.text.documents import BUILDERS, REMEDY, naming_file
from ladd.tasks.text.settings import CorpusConfig

if TYPE_CHECKING:
    from datasets import Dataset

PACKED = (".gz", ".bz2", ".xz", ".zst")
# Format by the suffix of files; a text is read as a document, unless each of its lines is one.
FORMATS = {
    **dict.fromkeys((".txt", ".text", ".md", ".rst"), "text"),
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".csv": "csv",
    ".parquet": "parquet",
    ".arrow": "arrow",
}
SAVED, SAVED_SPLITS = "state.json", "dataset_dict.json"  # that `save_to_disk` of datasets writes
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
ENCODED = ("text", "csv", "jsonl")  # formats that are text
LOOKED_AT = 500  # rows
FAVOURED = ("text", "content", "document", "body", "sentence", "smiles", "sequence")
AVOIDED = re.compile(r"(^|_)(id|uuid|url|uri|path|file|date|time|hash|key)s?$", re.IGNORECASE)
OWN_REMEDY = "it is cut, damaged or something else: write it again, or rename it to the suffix of what it is"
DISTINCT = 0.2  # share of different values below which a column is a category


@dataclass(frozen=True)
class Found:
    """Where documents are.

    Attributes:
        asset: its block of params.yaml.
        path: file or folder on this machine.
        files: glob within it.
        format: as in `CorpusConfig`.
        notes: what was decided, in sentences.
    """

    asset: dict[str, Any]
    path: Path
    files: str
    format: str
    field: str | None = None
    encoding: str = "utf-8"
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def has_fields(self) -> bool:
        return self.format not in ("text", "lines")

    def corpus(self, **changes: Any) -> dict[str, Any]:
        """Its block of params.yaml."""
        named = {"asset": self.asset, "files": self.files, "format": self.format}
        named |= {} if self.field is None else {"field": self.field}
        return named | ({} if self.encoding == "utf-8" else {"encoding": self.encoding}) | changes

    def paths(self) -> list[Path]:
        return asset_files(self.path, self.files)


def format_of(path: Path | str) -> str | None:
    """Of a file by its suffix, that of a packed one being what stands before; None of an unknown one."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] in PACKED:
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def find_local_data(path: Path, root: Path, encoding: str) -> Found:
    """The documents of a file, of a folder of files, or of what `save_to_disk` wrote.

    Args:
        root: of the repository: names within it are written as seen from there.
    Raises:
        ConfigError: nothing of a known format is there, or it is empty, binary, or of another encoding.
    """
    check_file_name(path)
    if path.is_file():
        kind = format_of(path)
        if kind is None:
            raise ConfigError(
                f"--data: {path} has none of the suffixes {', '.join(FORMATS)} (packed: {', '.join(PACKED)}); rename "
                "it, or write one of these"
            )
        found = Found(path_asset(path, root), path, path.name, kind, encoding=encoding)
    else:
        files, kind, notes = _files_of(path)
        found = Found(path_asset(path, root), path, files, kind, encoding=encoding, notes=notes)
    for file in found.paths():
        if not file.stat().st_size:
            raise ConfigError(f"--data: {file} is empty; remove it, or name another")
    check_files(found)
    return found


def path_asset(path: Path, root: Path) -> dict[str, Any]:
    """Block of params.yaml of a file or folder, pinned."""
    path, root = path.resolve(), root.resolve()
    name = path.relative_to(root) if path.is_relative_to(root) else path
    sha256 = file_hash(path) if path.is_file() else listing_hash(path)
    return {"source": "path", "name": name.as_posix(), "sha256": sha256}


def _files_of(folder: Path) -> tuple[str, str, list[str]]:
    """Glob, format, and what was left out."""
    if (folder / SAVED).is_file():
        return SAVED, "folder", []
    if (folder / SAVED_SPLITS).is_file():
        splits = sorted(path.parent.name for path in folder.glob(f"*/{SAVED}"))
        split = "train" if "train" in splits else next(iter(splits), None)
        if split is None:
            raise ConfigError(f"--data: {folder} has no split that `save_to_disk` of datasets finished; save it again")
        return f"{split}/{SAVED}", "folder", [f"of its splits {splits}, {split} is read"]
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    return choose_files([name for name in names if not any(part.startswith(".") for part in name.split("/"))], folder)


def choose_files(names: Sequence[str], where: object) -> tuple[str, str, list[str]]:
    """Of the files of a folder those with the most frequent suffix: their glob, their format, and what is left out.

    Raises:
        ConfigError: none has a known one.
    """
    suffixes = Counter(_suffix(name) for name in names if format_of(name))
    if not suffixes:
        others = sorted({Path(name).suffix or "none" for name in names})
        raise ConfigError(
            f"--data: no file of {where} has one of the suffixes {', '.join(FORMATS)} (packed: {', '.join(PACKED)}); "
            f"there are {', '.join(others) or 'no files'}"
        )
    suffix, count = suffixes.most_common(1)[0]
    left = len(names) - count
    notes = [f"{count} files *{suffix} are read, {left} others are left out"] if left else []
    return f"**/*{suffix}", str(format_of(f"a{suffix}")), notes


def _suffix(name: str) -> str:
    suffixes = Path(name).suffixes
    return "".join(suffixes[-2:]) if suffixes[-1].lower() in PACKED else suffixes[-1]


def check_files(found: Found) -> None:
    """Refuse files whose names read as something else, or that are not of the encoding. Raises ConfigError."""
    for file in found.paths():
        check_file_name(file)
        if found.format in ENCODED:
            check_content(file, found.encoding)


def look_at(found: Found, scratch: Path) -> list[dict[str, Any]]:
    """The first rows of the first file, with all their fields.

    Raises:
        ArtifactError: it is not of its format.
        ConfigError: it has no rows, or CSV has a header that does not fit them.
    """
    import datasets

    files = found.paths()
    corpus = _corpus(found, field="any")
    with _of_options(), naming_file(corpus, files, scratch):
        if found.format == "folder":
            rows: Any = datasets.load_from_disk(str(files[0].parent))
        else:
            builder, options = BUILDERS[found.format]
            options |= {"encoding": found.encoding} if builder in ("json", "csv") else {}
            rows = datasets.load_dataset(builder, data_files=[str(files[0])], split="train", streaming=True, **options)
        seen = [dict(row) for row in islice(rows, LOOKED_AT)]
    if not seen:
        raise ConfigError(f"--data: {files[0]} has no rows; name another file")
    if found.format == "csv":
        check_columns(files[0], list(seen[0]))
    return seen


def _corpus(found: Found, **changes: Any) -> CorpusConfig:
    return checked(CorpusConfig, found.corpus(**changes), f"--data {found.path}")


@contextmanager
def _of_options() -> Iterator[None]:
    """Replace the remedy of the stage `data` in an error by one for a file that the user named."""
    try:
        yield
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(REMEDY, OWN_REMEDY)) from error


def guess_field(rows: Sequence[dict[str, Any]], wanted: str | None) -> tuple[str, list[str], list[str]]:
    """The field with the text.

    A field that is called as such fields often are; else, of those that are no categories, the one with the longest
    strings.

    Returns:
        It, the other fields of text, and the fields of anything else.
    Raises:
        ConfigError: there is none, or the one that is wanted is not among them.
    """
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    kinds = {name: {type(value) for value in values if value is not None} for name, values in columns.items()}
    texts = [name for name, kind in kinds.items() if kind == {str}]
    others = [name for name in columns if name not in texts]
    described = f"fields of text are {texts}, others {others}"
    if wanted is not None and wanted not in columns:
        raise ConfigError(f"--field: {wanted!r} is no field{nearest(wanted, columns)}; {cut(described)}")
    if not texts:
        raise ConfigError(f"--field: no field has text alone; {cut(described)}")
    if wanted is not None:
        if wanted not in texts:
            found = sorted(kind.__name__ for kind in kinds[wanted]) or ["nothing but null"]
            raise ConfigError(f"--field: {wanted!r} has {', '.join(found)} and not text alone; {cut(described)}")
        return wanted, [name for name in texts if name != wanted], others
    lengths = {name: _mean_length(columns[name]) for name in texts}
    varied = [name for name in texts if _distinct(columns[name]) >= DISTINCT and not AVOIDED.search(name)]
    favoured = [name for word in FAVOURED for name in texts if name.lower() == word]
    chosen = favoured[0] if favoured else max(varied or texts, key=lambda name: lengths[name])
    return chosen, [name for name in texts if name != chosen], others


def _mean_length(values: Sequence[Any]) -> float:
    lengths = [len(value) for value in values if value is not None]
    return sum(lengths) / len(lengths)


def _distinct(values: Sequence[Any]) -> float:
    return len({value for value in values if value is not None}) / len(values)


def read_texts(found: Found, scratch: Path, most: int | None) -> Dataset:
    """Documents, as the stage `data` reads them.

    Raises:
        ArtifactError: a file is not of the format or the encoding.
        ConfigError: no document has a visible character.
    """
    from ladd.tasks.text.documents import read_documents

    with _of_options():
        documents = read_documents(_corpus(found, documents=most), found.paths(), scratch)
    if not len(documents):
        raise ConfigError(f"--data: no document of {found.path} has a visible character; name other data")
    return documents
