"""The store that driver and workers of a training share where they have no folder in common.

``LADD_STORAGE`` names it: ``s3://bucket/prefix``, any other address that fsspec knows, or a folder.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ladd.errors import ConfigError, StoreError

VARIABLE = "LADD_STORAGE"
_SPACE = (errno.ENOSPC, errno.EDQUOT)
# Of clients, by protocol: what others write must be seen, and what does not answer is named in seconds.
_OPTIONS: dict[str, dict[str, Any]] = {
    "file": {"auto_mkdir": True},
    "s3": {"config_kwargs": {"connect_timeout": 10, "retries": {"mode": "standard", "max_attempts": 4}}},
}


def store_asked() -> ObjectStore | None:
    """The store of ``LADD_STORAGE``; None where all nodes share the folder of the suite."""
    url = os.environ.get(VARIABLE)
    if not url:
        return None
    return ObjectStore(url if "://" in url else str(Path(url).absolute()))


class ObjectStore:
    """Objects by their names, such as "files/abc", below an address.

    Every method raises StoreError: the store does not answer, or refuses. It can be pickled: a process opens the
    store when it first uses it.

    Args:
        url: of a folder of the store.
    Raises:
        ConfigError: of the first use: no installed package speaks this protocol.
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self._opened: tuple[Any, str] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"url": self.url, "_opened": None}

    def check(self) -> None:
        """Write, read and remove a small object."""
        name = f"check-{secrets.token_hex(4)}"
        self.put_text(name, name)
        found = self.text(name)
        self.remove(name)
        if found != name:
            raise StoreError(f"{VARIABLE} is {self.url}: what was written there does not come back")

    def put(self, file: Path, name: str) -> None:
        """Store a file; whoever reads sees all of it or nothing."""
        with self._asking(f"storing {name}", writing=True) as (system, root):
            target = f"{root}/{name}"
            if "file" not in _protocols(system):  # object stores show an object when it is whole
                system.put_file(str(file), target)
                return
            partial = f"{target}.partial-{secrets.token_hex(4)}"
            system.put_file(str(file), partial)
            os.replace(partial, target)

    def put_text(self, name: str, text: str) -> None:
        """Store a short text."""
        with self._asking(f"storing {name}", writing=True) as (system, root):
            system.pipe_file(f"{root}/{name}", text.encode())

    def get(self, name: str, file: Path) -> None:
        """Fetch an object into a file, which is whole or not there. Raises FileNotFoundError: there is no object."""
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
        try:
            with self._asking(f"reading {name}") as (system, root):
                system.get_file(f"{root}/{name}", str(partial))
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)

    def text(self, name: str) -> str | None:
        """A short text; None where there is none."""
        try:
            with self._asking(f"reading {name}") as (system, root):
                return str(system.cat_file(f"{root}/{name}").decode())
        except FileNotFoundError:
            return None

    def size(self, name: str) -> int | None:
        """Bytes of an object; None where there is none."""
        try:
            with self._asking(f"looking for {name}") as (system, root):
                system.invalidate_cache()
                return int(system.info(f"{root}/{name}")["size"])
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Names of what lies directly in a folder, in alphabetical order; none where there is no such folder."""
        try:
            with self._asking(f"listing {folder}") as (system, root):
                system.invalidate_cache()
                found = system.ls(f"{root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        return sorted({str(path).rstrip("/").rpartition("/")[2] for path in found} - {folder.rpartition("/")[2]})

    def remove(self, name: str) -> None:
        """Remove an object, or a folder with all that is in it, if it is there."""
        with contextlib.suppress(FileNotFoundError), self._asking(f"removing {name}") as (system, root):
            system.invalidate_cache()
            system.rm(f"{root}/{name}", recursive=True)

    def arrow(self, name: str) -> tuple[Any, str]:
        """The store as a file system of pyarrow, which Ray wants, and the path of a folder in it."""
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        system, root = self._open()
        return PyFileSystem(FSSpecHandler(system)), f"{root}/{name}"

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            import fsspec  # here: most trainings need none

            protocol = fsspec.utils.get_protocol(self.url)
            logging.getLogger("aiobotocore").setLevel(logging.WARNING)  # it says where it found each key
            options = _OPTIONS.get(protocol, {}) | {"use_listings_cache": False, "skip_instance_cache": True}
            try:
                system, root = fsspec.core.url_to_fs(self.url, **options)
            except (ImportError, ValueError) as error:
                raise ConfigError(
                    f"{VARIABLE} is {self.url}, and nothing that is installed speaks {protocol} ({error}); name a "
                    "folder or an address such as s3://bucket/prefix, which `make install-cluster` installs"
                ) from None
            self._opened = system, root.rstrip("/")
        return self._opened

    @contextlib.contextmanager
    def _asking(self, what: str, *, writing: bool = False) -> Iterator[tuple[Any, str]]:
        opened = self._open()
        try:
            yield opened
        except Exception as error:  # every protocol has errors of its own
            missing = isinstance(error, FileNotFoundError) and not writing  # else it is the bucket
            if missing or (isinstance(error, OSError) and error.errno in _SPACE):
                raise
            said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            raise StoreError(
                f"{VARIABLE} is {self.url}: {what} failed ({said}); is the address right, does it answer, and are its "
                "keys set (of S3 AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)?"
            ) from error


def _protocols(system: Any) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)
