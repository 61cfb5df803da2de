"""MLflow's server behind a password: `python -m flows.mlflow_server`, a part of `make ui` and of the tracking image.

MLflow's own server asks for none, and lets everybody who reaches it read and write the files of its user: the folder
of an experiment's files is whatever a request says. It also takes pages of every port of this machine for its own.

The image has this file alone, so it imports nothing of this package.
"""

import argparse
import base64
import binascii
import fnmatch
import hmac
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

AUTH = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")  # what its clients send
HOSTS = "MLFLOW_SERVER_ALLOWED_HOSTS"  # MLflow's own; commas between, * for any port
OPEN = "/health"  # for probes
PAGES = ("same-origin", "none")  # where a request of a page may come from: these pages, or the address line


class Guard:
    """Lets requests through that have the password and come from no page of another server."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], auth: str, hosts: Iterable[str]):
        self.app, self.auth, self.hosts = app, auth.encode(), tuple(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "websocket":  # MLflow has none
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http" and (refusal := self._refusal(scope)) is not None:
            status, reason = refusal
            headers = [(b"content-type", b"text/plain")]
            if status == 401:
                headers.append((b"www-authenticate", b'Basic realm="MLflow"'))  # a browser asks for them
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": reason.encode()})
        else:
            await self.app(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] == OPEN and scope["method"] == "GET":
            return None
        host = headers.get("host", "")
        if not any(fnmatch.fnmatchcase(host, known) for known in self.hosts):
            return 403, "This server has another name.\n"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "This is a request of a page of another server.\n"
        if headers.get("sec-fetch-site", "none") not in PAGES and headers.get("sec-fetch-mode") != "navigate":
            return 403, "This is a request of a page of another server.\n"
        if not hmac.compare_digest(_credentials(headers.get("authorization", "")), self.auth):
            return 401, "A user and a password are needed.\n"
        return None


def _credentials(header: str) -> bytes:
    """USER:PASSWORD of an Authorization header; empty where it has none."""
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded, validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        return b""


def main() -> None:
    """Serve until a signal comes. What is not given is taken from MLflow's variables, as `mlflow server` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--backend-store-uri", default=os.environ.get("MLFLOW_BACKEND_STORE_URI"))
    parser.add_argument("--artifacts-destination", default=os.environ.get("MLFLOW_ARTIFACTS_DESTINATION"))
    parsed = parser.parse_args()
    user, password = (os.environ.pop(name, "") for name in AUTH)
    if not (user and password and parsed.backend_store_uri and parsed.artifacts_destination):
        parser.error(f"set {' and '.join(AUTH)}, and give --backend-store-uri and --artifacts-destination")
    os.environ.setdefault(HOSTS, f"127.0.0.1:{parsed.port},localhost:{parsed.port}")
    # What `mlflow server` hands to its workers.
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": parsed.backend_store_uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": parsed.artifacts_destination,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_IN_JOB_EXECUTOR": "false",
    }
    import uvicorn  # both read their settings when they are imported
    from mlflow.server.fastapi_app import app

    guarded = Guard(app, f"{user}:{password}", [name.strip() for name in os.environ[HOSTS].split(",")])
    uvicorn.run(guarded, host=parsed.host, port=parsed.port, proxy_headers=False, access_log=False)


if __name__ == "__main__":
    main()
