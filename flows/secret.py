"""The password of the servers of a checkout: a file that its owner alone can read, made at the first use.

Whoever reaches Prefect can have flows run, so other users of the machine and pages of other sites must not.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path

USER = "ladd"
NAME = "auth"  # of the file, in PREFECT_HOME


class SecretError(Exception):
    """The file is not the owner's alone, or holds no password."""


def auth_string(home: Path) -> str:
    """USER:PASSWORD, read from HOME/auth; made where there is none. Raises SecretError: others may have read or
    written it."""
    path = home / NAME
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    home.mkdir(parents=True, exist_ok=True)
    _make(path)
    return _read(path)


def _read(path: Path) -> str:
    if path.is_symlink():
        raise SecretError(f"{path} is a link; remove it, and a file is made")
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor) as file:
        found = os.fstat(descriptor)
        text = file.read().strip()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise SecretError(
            f"{path} may be read or written by others than user {os.geteuid()} "
            f"(owner {found.st_uid}, mode {stat.S_IMODE(found.st_mode):o}); remove it, and a new one is made"
        )
    user, _, password = text.partition(":")
    if user != USER or len(password) < 32:
        raise SecretError(f"{path} holds no {USER}:PASSWORD; remove it, and a new one is made")
    return text


def _make(path: Path) -> None:
    """Whole or not there; of several processes at once, the first one's stays."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w") as file:
            file.write(f"{USER}:{secrets.token_hex(16)}\n")
        with contextlib.suppress(FileExistsError):
            os.link(partial, path)
    finally:
        partial.unlink()
