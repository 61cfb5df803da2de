"""The SQLite file of a store: made whole or not at all, and kept right when its folder is moved or copied."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sqlite3
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from mlflow import MlflowClient

from ladd.errors import ConfigError

SQLITE = "sqlite:///"
_PATIENCE = 60.0  # seconds for another process that writes
# Where MLflow keeps absolute places of files, besides the experiments.
_PLACES = (("runs", "artifact_uri"), ("logged_models", "artifact_location"))

log = logging.getLogger(__name__)


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

    MLflow keeps them absolute, so that a moved store would go on where it was, and a copy in the files of the original.

    Args:
        file: the database.
        artifacts: the folder of all files; each experiment has one of its name in it.
    """
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
