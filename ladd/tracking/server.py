"""Whether the tracking server answers, and what to do where it does not."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests.exceptions import RequestException

from ladd.errors import TrackingError

FAILURES = (MlflowException, RequestException)
_PAUSES = (0.5, 1.5)  # seconds between the tries of a probe
_LONGEST = "3"  # seconds for the answer to one, where it is not refused at once
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_RETRIED = (408, 429)  # of the codes for what a client did wrong


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
            with _patience(_LONGEST):
                MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
            return
        except FAILURES as error:
            if pause is None or is_refusal(error) or time.monotonic() - started > float(_LONGEST):
                raise TrackingError(f"MLFLOW_TRACKING_URI is {address(uri)}, {_outcome(error)}; {REMEDY}") from error
            time.sleep(pause)


REMEDY = (
    "start the server, or correct the variable; or unset it, which keeps runs in a file of this checkout, and file "
    "them on the server with `ladd track sync` when it is there"
)


def _outcome(error: Exception) -> str:
    return f"which refuses: {reason(error)}" if is_refusal(error) else f"where nothing answers ({reason(error)})"


@contextlib.contextmanager
def _patience(seconds: str) -> Iterator[None]:
    """Let a request take so long; MLflow reads it from the environment."""
    before = os.environ.get(_TIMEOUT)
    os.environ[_TIMEOUT] = seconds
    try:
        yield
    finally:
        del os.environ[_TIMEOUT]
        if before is not None:
            os.environ[_TIMEOUT] = before


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
