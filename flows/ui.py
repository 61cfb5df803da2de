"""Prefect, MLflow and the served flows on this machine: `make ui`. Ctrl-C stops them all."""

import fcntl
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from flows.environment import HOME, ROOT, auth_settings, running_servers, serving
from flows.mlflow_server import AUTH as MLFLOW_AUTH
from flows.mlflow_server import HOSTS as MLFLOW_HOSTS
from flows.secret import NAME as SECRET
from flows.secret import USER, auth_string
from flows.servers import HOST, Server, ServerError, answers, free_port
from ladd.tracking import tracking_uri
from ladd.tracking.store import create_store, store_folder

PORTS = {"prefect": 4200, "mlflow": 5000}
LOGS = HOME / "logs"
MLFLOW_SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # with it the start takes three times as long
_POLL = 0.5


class Stopped(BaseException):
    """A signal asks this process to end."""


def main() -> int:
    """Start the servers, say where they are, and wait."""
    with serving() as file:
        if file is None:
            print(f"make ui runs already in this checkout: {running_servers() or 'it is starting'}", file=sys.stderr)
            return 1
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)
        servers: list[Server] = []
        try:
            _start(servers, file)
            while True:
                for server in servers:
                    server.check()
                time.sleep(_POLL)
        except ServerError as error:
            print(error, file=sys.stderr)
            return 1
        except Stopped:
            return 0
        finally:
            file.unlink(missing_ok=True)
            _end(servers)


def _stop(number: int, frame: object) -> None:
    raise Stopped


def _start(servers: list[Server], file: Path) -> None:
    """Start the servers, each as soon as it can be, and print where they are."""
    started = time.monotonic()
    with _one_checkout_at_a_time():
        addresses, ready = _start_servers(servers)
    file.write_text(json.dumps(addresses))
    print(
        _addresses(addresses, json.loads(ready.read_text())), f"(up in {time.monotonic() - started:.1f} s)", flush=True
    )


@contextmanager
def _one_checkout_at_a_time() -> Iterator[None]:
    """Two that start at once would both find a port free, and each take the other's server for its own."""
    with (Path(tempfile.gettempdir()) / f"ladd-ui-{os.getuid()}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start_servers(servers: list[Server]) -> tuple[dict[str, str], Path]:
    """Addresses of the servers by name, and the file with the deployments."""
    addresses = {name: f"http://{HOST}:{_port(name)}" for name in PORTS}
    remote = tracking_uri(ROOT).startswith("http")
    if remote:
        addresses["mlflow"] = tracking_uri(ROOT)
    prefect = _add(servers, "Prefect", ["prefect", "server", "start", *_place(addresses["prefect"])], _pages(addresses))
    if not remote:
        create_store(ROOT)  # while Prefect starts
        place = _place(addresses["mlflow"])
        mlflow = _add(servers, "MLflow", ["flows.mlflow_server", *_store(), *place], _mlflow_settings(addresses))
    prefect.wait(lambda: _up(prefect, addresses["prefect"], "/api/health"))
    ready = HOME / "served.json"
    ready.unlink(missing_ok=True)
    api = auth_settings() | {"PREFECT_API_URL": f"{addresses['prefect']}/api"}
    flows = _add(servers, "flows", ["flows.serve", "--ready", str(ready)], api)
    if not remote:
        mlflow.wait(lambda: _up(mlflow, addresses["mlflow"], "/health"))
    flows.wait(ready.is_file)
    return addresses, ready


def _up(server: Server, address: str, path: str) -> bool:
    """Whether it answers, and nobody else in its place: its clients are going to say the password."""
    return answers(f"{address}{path}") and server.listens(int(address.rpartition(":")[2]))


def _pages(addresses: dict[str, str]) -> dict[str, str]:
    """Prefect answers its own pages alone, and those only with the password.

    The pages would look for their server at the default port, which may be that of another checkout."""
    return auth_settings() | {
        "PREFECT_SERVER_UI_API_URL": f"{addresses['prefect']}/api",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_names(addresses["prefect"])),
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    }


def _mlflow_settings(addresses: dict[str, str]) -> dict[str, str]:
    hosts = [name.partition("//")[2] for name in _names(addresses["mlflow"])]
    user, _, password = auth_string(HOME).partition(":")
    return MLFLOW_SETTINGS | dict(zip(MLFLOW_AUTH, (user, password), strict=True)) | {MLFLOW_HOSTS: ",".join(hosts)}


def _names(address: str) -> tuple[str, str]:
    """What a person may type for an address."""
    return address, address.replace(HOST, "localhost")


def _place(address: str) -> list[str]:
    return ["--host", HOST, "--port", address.rpartition(":")[2]]


def _store() -> list[str]:
    files = store_folder(ROOT) / "artifacts"
    return ["--backend-store-uri", tracking_uri(ROOT), "--artifacts-destination", str(files)]


def _add(servers: list[Server], name: str, module: Sequence[str], settings: dict[str, str] | None = None) -> Server:
    environment = os.environ | (settings or {})
    command = [sys.executable, "-m", *module]
    servers.append(Server(name, command, environment, ROOT, LOGS / f"{name.lower()}.log"))
    return servers[-1]


def _port(name: str) -> int:
    port = free_port(PORTS[name])
    if port != PORTS[name]:
        print(f"port {PORTS[name]} is taken: {name} gets {port}")
    return port


def _addresses(addresses: dict[str, str], deployments: dict[str, str]) -> str:
    launch = f"{addresses['prefect']}/deployments/deployment"
    lines = [f"Prefect     {addresses['prefect']}"]
    lines += [f"  {name:<9} {launch}/{identifier}/run" for name, identifier in deployments.items()]
    lines += [f"MLflow      {addresses['mlflow']}", *_login(), f"logs        {LOGS}", "Ctrl-C stops them all"]
    return "\n".join(lines)


def _login() -> list[str]:
    """What to type into the pages; where the output is kept, others may read it, so there it is not said."""
    file = HOME / SECRET
    if not sys.stdout.isatty():
        return [f"password    in {file}; Prefect's page asks for the whole line, MLflow's for its two parts"]
    auth = auth_string(HOME)
    return [
        f"password    Prefect's page: {auth}",
        f"            MLflow's page:  user {USER}, password {auth.partition(':')[2]}",
        f"            each is asked for once per browser; {file} has it too",
    ]


def _end(servers: list[Server]) -> None:
    """The flows first: they tell Prefect and MLflow how they ended. A second signal does not leave any behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    for server in reversed(servers):
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
