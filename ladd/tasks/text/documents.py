"""Documents of a corpus: a data set of the datasets library with one column, "text", memory-mapped from disk;
and the split of one corpus: a share drawn from all over it, or the last n, for validation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ladd.errors import ArtifactError, ConfigError, LaddError
from ladd.tasks.text.detokenise import DETOKENISERS

if TYPE_CHECKING:
    from datasets import Dataset

    from ladd.tasks.text.settings import CorpusConfig

LONGEST = 2**30  # bytes of a file that is one document: a packed file may hold zeros without end
REMEDY = "it is cut, damaged or something else: fetch it again, or correct format and encoding of the corpus"
BATCH = 256  # documents that are in memory at a time
# Builder of the datasets library, and its options; all but folders may be packed as .gz, .bz2, .xz or .zst.
BUILDERS: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("text", {"sample_by": "document"}),
    "lines": ("text", {"sample_by": "line"}),
    "jsonl": ("json", {}),
    "csv": ("csv", {"keep_default_na": False}),
    "parquet": ("parquet", {}),
    "arrow": ("arrow", {}),
}


def read_documents(corpus: CorpusConfig, files: list[Path], scratch: Path, workers: int = 1) -> Dataset:
    """The documents of ``files``, in order, detokenised; those without a visible character are dropped.

    Args:
        corpus: format, field, encoding, detokeniser, and the number of documents to stop at, if any.
        files: of that format; of a folder that `save_to_disk` wrote, any file in it.
        scratch: folder for what the library keeps on disk; the documents need it as long as they are used.
        workers: processes; they do not change the result.
    Raises:
        ArtifactError: a file is not of the format, or has no such field of text.
    """
    with naming_file(corpus, files, scratch):
        found = _load(corpus, files, scratch)
        field = corpus.field or "text"
        _check_field(found, field, files)
        texts = found.select_columns([field])
        documents = texts.map(
            _detokenised,
            fn_kwargs={"field": field, "detokeniser": corpus.detokeniser},
            remove_columns=[field],
            features=_text_features(),
            **map_options(workers, scratch, "documents"),
        )
    count = len(documents) if corpus.documents is None else min(corpus.documents, len(documents))
    return documents.select(range(count))


def map_options(workers: int, scratch: Path, title: str) -> dict[str, Any]:
    """Of `Dataset.map`: batches in worker processes, results on disk."""
    number = len(list(scratch.glob("map-*")))
    (scratch / f"map-{number}").mkdir(parents=True)
    return {
        "batched": True,
        "batch_size": BATCH,
        "writer_batch_size": BATCH,
        "num_proc": workers if workers > 1 else None,
        "cache_file_name": str(scratch / f"map-{number}" / "rows.arrow"),
        "load_from_cache_file": False,
        "desc": title,
    }


def _load(corpus: CorpusConfig, files: list[Path], scratch: Path) -> Dataset:
    """Rows of the files, with all their fields."""
    import datasets  # here: it takes as long to import as torch

    if corpus.format == "folder":
        return datasets.load_from_disk(str(files[0].parent))
    builder, options = BUILDERS[corpus.format]
    if builder == "text":
        if corpus.format == "text":
            _check_sizes(files)
        # A mark at the start of a file says the encoding and is no text.
        options = options | {"encoding": "utf-8-sig" if corpus.encoding == "utf-8" else corpus.encoding}
    elif builder in ("json", "csv"):
        options = options | {"encoding": corpus.encoding}
    names = [str(file) for file in files]
    return datasets.load_dataset(builder, data_files=names, split="train", cache_dir=str(scratch / "read"), **options)


def _check_field(found: Dataset, field: str, files: list[Path]) -> None:
    where = f"{files[0]}" + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    if field not in found.column_names:
        raise ArtifactError(f"{where}: no field {field!r}, only: {', '.join(found.column_names)[:300]}")
    kind = getattr(found.features[field], "dtype", "nested")
    if kind not in ("string", "large_string", "string_view"):
        raise ArtifactError(f"{where}: field {field!r} is {kind}, not text; name a field of text")


def _check_sizes(files: list[Path]) -> None:
    import fsspec

    for file in files:
        with fsspec.open(str(file), "rb", compression="infer") as stream:
            left = LONGEST
            while left >= 0 and (part := stream.read(min(left + 1, 1 << 20))):
                left -= len(part)
        if left < 0:
            raise ArtifactError(f"{file} has more than {LONGEST:,} bytes, too many for one document; split it")


def _text_features() -> Any:
    from datasets import Features, Value

    return Features({"text": Value("large_string")})


def _detokenised(batch: dict[str, list[str | None]], *, field: str, detokeniser: str) -> dict[str, list[str]]:
    """Documents of a batch of rows; null, which means that the row has none, is an empty document."""
    detokenise: Callable[[str], str] = DETOKENISERS[detokeniser]
    texts = [detokenise(text or "") for text in batch[field]]
    return {"text": [text for text in texts if text and not text.isspace()]}


@contextmanager
def naming_file(corpus: CorpusConfig, files: list[Path], scratch: Path) -> Iterator[None]:
    """Turn whatever the library raises into one line that names the file and the remedy."""
    try:
        yield
    except (LaddError, MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        file = files[0] if len(files) == 1 else _culprit(corpus, files, scratch)
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        if isinstance(root, UnicodeDecodeError):
            byte = root.object[root.start]
            raise ArtifactError(
                f"{file}: byte 0x{byte:02x} is not {root.encoding}; set the encoding of the corpus"
            ) from error
        said = " ".join(str(root).split())[:300]
        what = f"{file}, of format {corpus.format}, cannot be read ({type(root).__name__}: {said})"
        raise ArtifactError(f"{what}; {REMEDY}") from error


def _culprit(corpus: CorpusConfig, files: list[Path], scratch: Path) -> Path:
    """The first file that cannot be read alone; where each can, they do not go together, and it is the first of all."""
    for file in files:
        try:
            _load(corpus, [file], scratch / "alone")
        except Exception:
            return file
    return files[0]


def split_documents(documents: Dataset, share: float, seed: int, *, validation: bool, scratch: Path) -> Dataset:
    """The validation documents of a corpus, or the others, in order: a function of (seed, place in the corpus).

    Args:
        share: of the documents that are for validation, in (0, 1); see `drawn_places`.
        seed: of the draw.
        validation: which side is wanted.
        scratch: folder for the places of the documents.
    """
    drawn = drawn_places(len(documents), share, seed)
    wanted = drawn if validation else np.setdiff1d(np.arange(len(documents)), drawn, assume_unique=True)
    name = "validation" if validation else "train"
    return documents.select(wanted, indices_cache_file_name=str(scratch / f"{name}-places.arrow"))


def drawn_places(count: int, share: float, seed: int) -> np.ndarray:
    """Places of the validation documents among ``count``, rising.

    The corpus is cut in runs of 1 / share documents, and each run gives one document, drawn by a hash: the share is
    exact to one document and the validation documents come from all over the corpus. A document that the corpus
    repeats can be on both sides.

    Raises:
        ConfigError: the share is out of range.
    """
    if not 0 < share < 1:
        raise ConfigError(f"validation: {share} is not a share between 0 and 1")
    exact = Fraction(share).limit_denominator(1 << 20)
    drawn = []
    for run in range(-(-count * exact.numerator // exact.denominator)):
        start, stop = (-(-place * exact.denominator // exact.numerator) for place in (run, run + 1))
        digest = hashlib.blake2b(f"{seed}/validation/{run}".encode(), digest_size=8).digest()
        drawn.append(start + int.from_bytes(digest, "little") % (stop - start))
    return np.array([place for place in drawn if place < count], dtype=np.int64)


def split_last(documents: Dataset, last: int, *, validation: bool) -> Dataset:
    """The last documents of a corpus, which are for validation, or those before them, in order.

    Raises:
        ConfigError: there are no others, so nothing would be left to train on.
    """
    border = len(documents) - last
    if border < 1:
        raise ConfigError(
            f"validation.last: {last}, but the corpus has {len(documents)} documents; write less than that"
        )
    return documents.select(range(border, len(documents)) if validation else range(border))
