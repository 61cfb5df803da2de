"""Files: hashes, writing whole or not at all, also when the power goes; full disks and missing permissions."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

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
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG), "name another place"),
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
_UNFINISHED = re.compile(r"\..+-[0-9a-f]{8}")  # of `whole_file`
WEIGHTS = "weights.safetensors"  # of a trained model, in its folder


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
                    line = next(line for line in str(seen).splitlines() if words in line).strip()
                    return StorageError(f"{line}; {_REMEDIES[number]}")
        seen = seen.__cause__ or seen.__context__
    return None


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


if TYPE_CHECKING:
    from torch import Tensor


def stamp(path: Path) -> list[int]:
    """Size, inode and both times of a file: as long as they stay, so does its content."""
    stat = path.stat()
    return [stat.st_size, stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A new file beside ``path``, renamed when the block ends well: a kill leaves the old file or the new one. What
    kills have left of earlier ones is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    partial = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    try:
        with naming(path), _held(partial) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextlib.contextmanager
def _held(partial: Path) -> Iterator[IO[bytes]]:
    """A new file under a lock, which says that somebody writes it."""
    while True:
        with partial.open("xb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # else it was taken for abandoned before it had its lock
                yield file
                return


def _remove_abandoned(path: Path) -> None:
    """Remove the new files of ``path`` that nobody writes any more."""
    name = re.compile(rf"\.{re.escape(path.name)}-[0-9a-f]{{8}}")
    for partial in path.parent.glob(".*"):
        if name.fullmatch(partial.name):
            with contextlib.suppress(OSError), partial.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                partial.unlink()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file, or leave it as it is."""
    with whole_file(path) as file:
        file.write(content)


def write_json(path: Path, content: Any) -> None:
    write_atomically(path, (json.dumps(content, indent=1) + "\n").encode())


def replace_folder(finished: Path, target: Path) -> None:
    """Put a finished folder in the place of ``target``; all of it is on the disk before it has that name."""
    for path in (*finished.rglob("*"), finished):
        _sync(path)
    remove_folder(target)
    os.replace(finished, target)
    _sync(target.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there; it is renamed first, so that a kill leaves no half of it under its name."""
    removed = folder.with_name(f".{folder.name}.removed")
    shutil.rmtree(removed, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.replace(folder, removed)
    shutil.rmtree(removed, ignore_errors=True)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        remove_folder(path)
    else:
        path.unlink(missing_ok=True)


def remove_unfinished(path: Path) -> None:
    """Remove what a kill left of a file or folder that it was writing, beside it and below it.

    Only for the one process that writes there."""
    beside = re.compile(rf"\.{re.escape(path.name)}(-[0-9a-f]{{8}}|\.partial|\.removed)")
    found = [each for each in path.parent.glob(".*") if beside.fullmatch(each.name)]
    found += [each for each in path.rglob(".*") if _UNFINISHED.fullmatch(each.name)]
    for each in found:
        if each.is_dir():
            shutil.rmtree(each)
        else:
            each.unlink()


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk: a rename alone may come before what it renames."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save_tensors(path: Path, state: dict[str, Tensor]) -> None:
    """Write a state dict as safetensors, which wants contiguous tensors that share no memory."""
    from safetensors.torch import save_file  # it imports torch, which takes seconds

    path.unlink(missing_ok=True)
    path.touch()
    mode = path.stat().st_mode & 0o777  # by the umask; safetensors puts a private file in its place
    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}, path)
    path.chmod(mode)
