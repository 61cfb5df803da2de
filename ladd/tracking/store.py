"""Where runs are kept."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from mlflow import MlflowClient

from ladd.errors import ArtifactError
from ladd.git import main_checkout
from ladd.tracking.database import SQLITE, follow_move, make_database, sqlite_file, sqlite_uri
from ladd.tracking.server import check_server

STORE = Path(".mlflow")  # in the main checkout of the repository, shared by all suites and work trees


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


def milliseconds() -> int:
    """Now, as MLflow counts time."""
    return int(1000 * time.time())
