"""Environment of flows, servers and stages. Prefect, MLflow and DVC read theirs on import, so this comes first."""

import contextlib
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from ladd.lock import exclusive, is_held

USER = "ladd"
NAME = "auth"  # of the file, in PREFECT_HOME
ROOT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("PREFECT_HOME") or ROOT / ".prefect")  # database, logs and locks of this checkout
FLOW_RUN = "LADD_FLOW_RUN_ID"  # a stage tags its tracked run with it
SETTINGS = {
    "PREFECT_HOME": str(HOME),
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",  # 20 is too little for a busy machine
    # One user interface: pages of version 2 link to pages of version 1, where forms look different.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # No page of another site reaches a server of ours, not even that of a flow on the command line; `make ui` names the
    # address of its own pages in the place of this one, which no page has.
    "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": "http://127.0.0.1:0",
    "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    # Nothing calls home.
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "DO_NOT_TRACK": "true",
}
AUTH = ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")  # of the server, of its clients


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


def apply(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set what is not set; a flow reports to the server of `make ui` where that runs, and has its password. Raises
    SecretError: the password is not this user's alone."""
    for name, value in SETTINGS.items():
        environment.setdefault(name, value)
    if "PREFECT_API_URL" in environment:  # a server of somebody else has a password of its own
        return
    for name, value in auth_settings().items():
        environment.setdefault(name, value)
    if (addresses := running_servers()) is not None:
        environment["PREFECT_API_URL"] = f"{addresses['prefect']}/api"


def auth_settings() -> dict[str, str]:
    """The password of this checkout, for Prefect's server and its clients."""
    return dict.fromkeys(AUTH, auth_string(HOME))


def stage_environment(flow_run_id: str) -> dict[str, str]:
    """For `dvc repro` and the stages it starts: this interpreter, the code of this checkout, lines as they come.

    Without Prefect's password, of which stages have no need."""
    kept = {name: value for name, value in os.environ.items() if name not in AUTH}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return kept | {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", FLOW_RUN: flow_run_id}


@contextmanager
def serving() -> Iterator[Path]:
    """Hold the lock of `make ui`, and give the file for the addresses of its servers. Raises BusyError: another process
    holds it."""
    file = HOME / "ui.json"
    with exclusive(HOME / "ui.lock", "make ui"):
        file.unlink(missing_ok=True)  # of one that was killed
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)


def running_servers() -> dict[str, str] | None:
    """Addresses of the servers of `make ui`, by name; None where it does not run or is not up yet."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((HOME / "ui.json").read_text()) if is_held(HOME / "ui.lock") else None
    return None
