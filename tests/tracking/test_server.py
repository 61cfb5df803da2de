"""A probe of the tracking server: short, with the remedy, and only where there is a server."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from ladd.errors import TrackingError
from ladd.tracking import store as module
from ladd.tracking.store import address, answering, check_server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(module, "_PAUSES", (0.0, 0.0))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def answers(*codes: int) -> Iterator[tuple[str, list[str]]]:
    """Address of a server that answers with these codes, the last one for ever, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code = codes[min(len(asked), len(codes) - 1)]
            asked.append(self.path)
            body = b"{}" if code == 200 else b"no"
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def test_server_that_answers_passes():
    with answers(200) as (uri, asked):
        check_server(uri)
    assert len(asked) == 1


def test_server_that_is_away_is_an_error_with_the_remedy():
    uri = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(TrackingError) as caught:
        check_server(uri)
    message = str(caught.value)
    assert message.startswith(f"MLFLOW_TRACKING_URI is {uri}, where nothing answers (")
    assert "refused" in message
    assert "start the server" in message
    assert "unset it" in message
    assert "`ladd track sync`" in message
    assert "\n" not in message


def test_server_that_is_away_for_a_moment_passes():
    with answers(503, 503, 200) as (uri, asked):
        check_server(uri)
    assert len(asked) == 3


def test_server_that_stays_broken_is_an_error():
    with answers(503) as (uri, asked), pytest.raises(TrackingError, match=r"nothing answers .*503"):
        check_server(uri)
    assert len(asked) == 3


def test_refusal_is_an_error_and_not_asked_for_again():
    with answers(403) as (uri, asked), pytest.raises(TrackingError, match=r"which refuses: .*403"):
        check_server(uri)
    assert len(asked) == 1


def test_server_that_takes_requests_and_never_answers_is_asked_once(monkeypatch):
    monkeypatch.setattr(module, "_LONGEST", "1")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(TrackingError, match="timed out"):
            check_server(f"http://127.0.0.1:{silent.getsockname()[1]}")


@pytest.mark.parametrize("before", [None, "7"])
def test_probe_leaves_the_environment_alone(monkeypatch, before):
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    if before:
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", before)
    with answers(200) as (uri, _):
        check_server(uri)
    assert os.environ.get("MLFLOW_HTTP_REQUEST_TIMEOUT") == before


def test_file_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "MlflowClient", None)
    check_server(f"sqlite:///{tmp_path}/runs.db")
    assert list(tmp_path.iterdir()) == []


def test_request_that_fails_is_one_line_and_not_repeated():
    uri = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(TrackingError, match=f"tracking server {uri}: .*refused"), answering(uri):
        MlflowClient(tracking_uri=uri).get_run("0" * 32)
    with answers(503) as (uri, asked), pytest.raises(TrackingError, match="503"), answering(uri):
        MlflowClient(tracking_uri=uri).get_run("0" * 32)
    assert len(asked) == 1


def test_error_of_a_file_stays_what_it_is():
    with pytest.raises(MlflowException, match="locked"), answering("sqlite:///runs.db"):
        raise MlflowException("database is locked")


def test_password_is_not_shown():
    assert address("https://me:secret@tracking.example.org:5000/base") == "https://tracking.example.org:5000/base"
