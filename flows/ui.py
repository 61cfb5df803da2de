"""Prefect, MLflow and the served flows on this machine: `make ui`. Ctrl-C stops them all."""

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from flows.environment import HOME, ROOT, USER, auth_settings, auth_string, running_servers, serving
from flows.environment import NAME as SECRET
from flows.mlflow_server import AUTH as MLFLOW_AUTH
from flows.mlflow_server import HOSTS as MLFLOW_HOSTS
from ladd.errors import BusyError, LaddError
from ladd.tracking import answering, runs_address, tracked_suites, tracking_uri
from ladd.tracking.store import create_store, store_folder

HOST = "127.0.0.1"
PATIENCE = 300.0  # seconds for a start; a few are enough on a machine that is not busy
GRACE = 60.0  # seconds from SIGTERM to SIGKILL; a flow ends its stages first
_POLL = 0.1  # seconds between two looks
_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)
PORTS = {"prefect": 4200, "mlflow": 5000}
LOGS = HOME / "logs"
SHOWN = 6  # suites whose runs have a printed address
MLFLOW_SETTINGS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # with it the start takes three times as long


class ServerError(Exception):
    """A server did not start, or ended by itself."""


class Server:
    """A server process."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path):
        self.name, self.log = name, log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C comes to this process alone, which ends them in order
                preexec_fn=_end_with_parent,
            )

    def check(self) -> None:
        """Raise ServerError with the last lines of the log if the process has ended."""
        if (code := self.process.poll()) is not None:
            tail = "\n".join(f"  {line}" for line in self.log.read_text(errors="replace").splitlines()[-15:])
            raise ServerError(f"{self.name} ended with exit code {code}; the end of {self.log}:\n{tail}")

    def wait(self, ready: Callable[[], bool]) -> None:
        """Wait until the server is ready. Raises ServerError: it ended, or patience did."""
        deadline = time.monotonic() + PATIENCE
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} does not answer after {PATIENCE:.0f} s; see {self.log}")
            time.sleep(_POLL)

    def listens(self, port: int) -> bool:
        """Whether the process, or one that it started, has the port: whoever else answers there gets no password."""
        with contextlib.suppress(psutil.Error):
            own = psutil.Process(self.process.pid)
            return any(
                each.status == psutil.CONN_LISTEN and each.laddr.port == port
                for process in (own, *own.children(recursive=True))
                for each in process.net_connections("inet")
            )
        return False

    def stop(self) -> None:
        """End the process, and what is left of its group."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _end_with_parent() -> None:
    """In the child: be ended when this process dies, even by SIGKILL (on Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGTERM)


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def free_port(preferred: int) -> int:
    """The preferred port of this machine, or any other where that is taken."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise ServerError(f"{HOST} has no free port")


class Stopped(BaseException):
    """A signal asks this process to end."""


def main() -> int:
    with contextlib.ExitStack() as held:
        try:
            file = held.enter_context(serving())
        except BusyError:
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
        files = store_folder(ROOT) / "artifacts"
        store = ["--backend-store-uri", tracking_uri(ROOT), "--artifacts-destination", str(files)]
        module = ["flows.mlflow_server", *store, *_place(addresses["mlflow"])]
        mlflow = _add(servers, "MLflow", module, _mlflow_settings(addresses))
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
    lines += [f"MLflow      {addresses['mlflow']}", *_tables(addresses["mlflow"])]
    lines += [*_login(), f"logs        {LOGS}", "Ctrl-C stops them all"]
    return "\n".join(lines)


def _tables(server: str) -> list[str]:
    """Where MLflow shows the runs of each suite: its own first page asks which, and is about language models."""
    try:
        with answering(tracking_uri(ROOT)):
            suites = tracked_suites(ROOT)
    except LaddError:  # a server of somebody else, which wants something
        return []
    width = max(map(len, suites), default=0)
    lines = [f"  {name:<{width}} {runs_address(server, each)}" for name, each in list(suites.items())[:SHOWN]]
    return lines + [f"  and {len(suites) - SHOWN} more"] * (len(suites) > SHOWN)


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
