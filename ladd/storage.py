"""Full disks and missing permissions: one line with the file and the remedy, before the work where it shows then."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from ladd.errors import StorageError

RESERVE = 16 << 20  # bytes that a stage leaves free: DVC writes its records, and damages them on a full disk

_SPACE = "free some space, then run it again: it goes on from what is done"
_ACCESS = "let yourself read and write there (chmod u+rwX, chown), then run it again"
_REMEDIES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EROFS: "work in a checkout that can be written to, or mount it so",
    errno.EACCES: _ACCESS,
    errno.EPERM: _ACCESS,
}
# Libraries that write files of their own have errors of their own, with the reason in words.
_LIBRARIES = ("mlflow", "pyarrow", "safetensors", "safetensors_rust", "shutil", "sqlalchemy", "sqlite3")
_WORDS = {
    "No space left on device": errno.ENOSPC,
    "database or disk is full": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "Read-only file system": errno.EROFS,
    "Permission denied": errno.EACCES,
    "attempt to write a readonly database": errno.EACCES,
    "unable to open database file": errno.EACCES,
}


def storage_error(error: BaseException) -> StorageError | None:
    """What to tell of an exception that a full disk or a lack of permission caused; None for any other."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in _REMEDIES:
            place = seen.filename2 or seen.filename or "a file"
            return StorageError(f"{place}: {seen.strerror}; {_REMEDIES[seen.errno]}")
        if type(seen).__module__.partition(".")[0] in _LIBRARIES:
            for words, number in _WORDS.items():
                if words in str(seen):
                    return StorageError(f"{_line_with(words, str(seen))}; {_REMEDIES[number]}")
        seen = seen.__cause__ or seen.__context__
    return None


def _line_with(words: str, text: str) -> str:
    return next(line for line in text.splitlines() if words in line).strip()


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give errors the name of what is written: those of an open file have none, or that of a file for the meantime."""
    try:
        yield
    except OSError as error:
        meantime = error.filename is None or Path(str(error.filename)).name.startswith(f".{path.name}-")
        if meantime and error.errno in _REMEDIES:
            error.filename = os.fspath(path)
        raise


def try_outputs(paths: Iterable[Path]) -> None:
    """Write and remove a file beside every output, under a name that `remove_unfinished` knows. Raises StorageError:
    an output could not be written, or hardly any space is left."""
    for path in paths:
        probe = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with probe.open("xb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
            probe.unlink()
        except OSError as error:
            error.filename = os.fspath(path.parent)
            with contextlib.suppress(OSError):
                probe.unlink(missing_ok=True)
            raise storage_error(error) or error from None
        check_space(path.parent)


def check_space(folder: Path) -> None:
    """Refuse to go on where so little space is left that DVC would damage its own records. Raises StorageError: less
    than `RESERVE` is free."""
    free = shutil.disk_usage(folder).free
    if free < RESERVE:
        raise StorageError(f"{folder.resolve()}: only {free >> 10} KiB are free on its disk; {_SPACE}")
