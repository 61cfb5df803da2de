"""Where runs are kept: a server, which may not answer, or an SQLite file, which may be moved or copied."""

import contextlib
import fcntl
import logging
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse, urlsplit
from urllib.request import url2pathname

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException

from ladd.errors import ArtifactError, ConfigError, TrackingError
from ladd.git import main_checkout

FAILURES = (MlflowException, RequestException)
_PAUSES = (0.5, 1.5)  # seconds between the tries of a probe
_LONGEST = "3"  # seconds for the answer to one, where it is not refused at once
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_RETRIED = (408, 429)  # of the codes for what a client did wrong
REMEDY = (
    "start the server, or correct the variable; or unset it, which keeps runs in a file of this checkout, and file "
    "them on the server with `ladd track sync` when it is there"
)
SQLITE = "sqlite:///"
_PAGE = 1000  # entries of a search at a time
_PATIENCE = 60.0  # seconds for another process that writes
# Where MLflow keeps absolute places of files, besides the experiments.
_PLACES = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))
log = logging.getLogger(__name__)
STORE = Path(".mlflow")  # in the main checkout of the repository, shared by all suites and work trees


def has_server(uri: str) -> bool:
    """Whether a store is a server, and not a file."""
    return uri.startswith(("http://", "https://"))


def check_server(uri: str) -> None:
    """Ask the tracking server, if the store is one, for something; where nobody answers this takes seconds. Raises
    TrackingError: it does not answer, or it refuses; with the remedy."""
    if not has_server(uri):
        return
    started = time.monotonic()
    for pause in (*_PAUSES, None):
        try:
            with variable(_TIMEOUT, _LONGEST):
                MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
            return
        except FAILURES as error:
            if pause is None or is_refusal(error) or time.monotonic() - started > float(_LONGEST):
                refuses, why = f"which refuses: {reason(error)}", f"where nothing answers ({reason(error)})"
                outcome = refuses if is_refusal(error) else why
                raise TrackingError(f"MLFLOW_TRACKING_URI is {address(uri)}, {outcome}; {REMEDY}") from error
            time.sleep(pause)


@contextlib.contextmanager
def answering(uri: str) -> Iterator[None]:
    """What a server does not do is an error of ours; those of a file of this machine are left as they are. Raises
    TrackingError: it does not answer, or it refuses."""
    try:
        yield
    except FAILURES as error:
        if not has_server(uri):
            raise
        raise TrackingError(f"tracking server {address(uri)}: {reason(error)}") from error


def is_refusal(error: Exception) -> bool:
    """Whether a server answered that it will not, however often it is asked."""
    if not isinstance(error, MlflowException):
        return False
    code = error.get_http_status_code()
    return 400 <= code < 500 and code not in _RETRIED


def reason(error: BaseException) -> str:
    """What lies at the bottom of an error, in one line: MLflow and its libraries wrap it five times."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def address(uri: str) -> str:
    """A URI without the password that it may have."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def sqlite_file(uri: str) -> Path | None:
    """The file of an SQLite URI; None for another one."""
    return Path(uri.removeprefix(SQLITE).partition("?")[0]) if uri.startswith(SQLITE) else None


def sqlite_uri(file: Path) -> str:
    """URI of an SQLite file. Raises ConfigError: its path has a question mark, where a path ends in such a URI."""
    if "?" in str(file):
        raise ConfigError(
            f"{file}: MLflow's database cannot be in a path with a question mark; rename the folder, or set "
            "MLFLOW_TRACKING_URI"
        )
    return f"{SQLITE}{file}"


def make_database(file: Path) -> None:
    """Make the database where there is none: a kill while MLflow makes its tables would leave one that it refuses."""
    if file.exists():
        return
    for left in file.parent.glob(f"{file.name}.partial*"):
        left.unlink()
    partial = file.with_name(f"{file.name}.partial{secrets.token_hex(4)}")  # MLflow remembers what it has opened
    MlflowClient(tracking_uri=sqlite_uri(partial)).search_experiments(max_results=1)
    os.replace(partial, file)


def follow_move(file: Path, artifacts: Path) -> None:
    """Correct the places of files after the folder of the store was moved or copied.

    MLflow keeps them absolute, so that a moved store would go on where it was, and a copy in the files of the
    original. ``file``: the database. ``artifacts``: the folder of all files; each experiment has one of its name in
    it."""
    artifacts = artifacts.absolute()
    with contextlib.closing(sqlite3.connect(file, timeout=_PATIENCE)) as database:
        try:
            rows = database.execute("SELECT experiment_id, name, artifact_location FROM experiments").fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" not in str(error):
                raise
            return
        moved = [(number, old, artifacts / name) for number, name, old in rows if _is_moved(old, artifacts / name)]
        with database:  # one transaction
            for number, old, place in moved:
                _correct(database, number, old, place.as_uri())
    if moved:
        log.warning("%s was moved or copied: the files of its %d experiments are in %s", file, len(moved), artifacts)


def _is_moved(location: str | None, place: Path) -> bool:
    """Whether a location is the one that an experiment had in another folder."""
    if not location or location == place.as_uri() or urlparse(location).scheme not in ("", "file"):
        return False
    old = Path(url2pathname(urlparse(location).path))
    if old.parts[-2:] != place.parts[-2:]:
        return False  # it was put there on purpose
    if old.exists():  # a copy, unless the files were left behind, or another name of the same folder
        return place.exists() and not old.samefile(place)
    return True


def _correct(database: sqlite3.Connection, experiment: int, old: str, new: str) -> None:
    database.execute("UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?", (new, experiment))
    for table, column in _PLACES:
        database.execute(
            f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
            f"WHERE experiment_id = ? AND substr({column}, 1, ?) = ?",
            (new, len(old) + 1, experiment, len(old) + 1, old + "/"),
        )


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or a SQLite file in the repository's main checkout."""
    return os.environ.get("MLFLOW_TRACKING_URI") or sqlite_uri(main_checkout(root) / STORE / "mlflow.db")


def experiment_name(suite: str) -> str:
    """The suite's name; SUITE@LAUNCH in a launch with other parameters ($LADD_LAUNCH), which keeps runs of its own."""
    launch = os.environ.get("LADD_LAUNCH")
    return f"{suite}@{launch}" if launch else suite


def store_folder(root: Path) -> Path:
    """The folder of the lock, and of the artifacts where there is no server: beside the SQLite file."""
    file = sqlite_file(tracking_uri(root))
    return main_checkout(root) / STORE if file is None else file.parent


def artifact_location(root: Path, experiment: str) -> str | None:
    """Where an experiment keeps files; None leaves it to the server."""
    if not tracking_uri(root).startswith(SQLITE):
        return None
    return (store_folder(root) / "artifacts" / experiment).absolute().as_uri()


@contextlib.contextmanager
def store_lock(root: Path) -> Iterator[None]:
    """One process at a time: opening a new database creates it, and two creators break it, or make a run twice.

    Inside, the database is there, and the places of files in it are where it is."""
    folder = store_folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "create.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (file := sqlite_file(tracking_uri(root))) is not None:
            make_database(file)
            follow_move(file, folder / "artifacts")
        yield


def create_store(root: Path) -> str:
    """Make the database where there is none, before several processes open it; returns its URI."""
    uri = tracking_uri(root)
    with store_lock(root):
        MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    return uri


def existing_store(root: Path, wanted: str) -> MlflowClient:
    """A client of a store that is there; nothing is created. Raises ArtifactError: there is no tracking database.
    TrackingError: the server does not answer."""
    uri = tracking_uri(root)
    check_server(uri)
    database = sqlite_file(uri)
    if database is not None:
        if not database.is_file():
            raise ArtifactError(
                f"{wanted}: there is no {database}; set MLFLOW_TRACKING_URI to the server that has the run"
            )
        follow_move(database, store_folder(root) / "artifacts")
    return MlflowClient(tracking_uri=uri)


def paged(find: Callable[..., Any]) -> Iterator[Any]:
    """All that a search of MLflow finds, however many; it takes ``max_results`` and ``page_token``."""
    token = None
    while True:
        page = find(max_results=_PAGE, page_token=token)
        yield from page
        if not (token := page.token):
            return


@contextlib.contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Set a variable of the environment, and put back what was there: MLflow has settings nowhere else."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def milliseconds() -> int:
    """Now, as MLflow counts time."""
    return int(1000 * time.time())
