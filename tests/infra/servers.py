"""Servers as the manifests start them, on this machine: PostgreSQL from Debian, an S3 server, MLflow and Prefect."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from flows.ui import HOST, answers, free_port
from tests.flows.site import own_environment, until
from tests.infra.manifests import KUBERNETES, REPOSITORY

# What a password may hold: nothing of it may be read as SQL, shell or URL.
PASSWORDS = {
    "POSTGRES_PASSWORD": 'super\'; $user "x"@:/%',
    "MLFLOW_DATABASE_PASSWORD": 'm\'; $flow "x"@:/%',
    "PREFECT_DATABASE_PASSWORD": 'p\'; $refect "x"@:/%',
    "MLFLOW_TRACKING_PASSWORD": 't\'; $racking "x"@:/%',
    "PREFECT_API_AUTH_STRING": 'ladd:a\'; $uth "x"@:/%',
}
# The S3 server asks for none of these; the clients do.
KEYS = {"AWS_ACCESS_KEY_ID": "ladd", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}


def postgres_programs() -> Path | None:
    """Folder of the programs of Debian's PostgreSQL, the newest one."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


@contextmanager
def running(
    command: Sequence[str],
    ready: Callable[[], Any],
    log: Path,
    folder: Path,
    environment: Mapping[str, str],
    **how: Any,
) -> Iterator[None]:
    """A server process, from the moment that it is ready."""
    with log.open("a") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output, **how)
    try:

        def alive_and_ready() -> bool:
            assert process.poll() is None, log.read_text()[-4000:]
            return ready()

        until(alive_and_ready, f"the start of {command[0]}")
        yield
    finally:
        process.send_signal(signal.SIGINT if "postgres" in command[0] else signal.SIGTERM)
        process.wait()


@contextmanager
def postgres(programs: Path) -> Iterator[int]:
    """PostgreSQL in a folder of its own with the databases of databases.sh; yields the port.

    It refuses to run as root, so it runs as Debian's user of it, where we are root.
    """
    folder = Path(tempfile.mkdtemp(prefix="ladd-postgres-"))
    how: dict[str, Any] = {}
    if os.getuid() == 0:
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        how = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    try:
        password, data, port = folder / "password", folder / "data", free_port(0)
        password.write_text(PASSWORDS["POSTGRES_PASSWORD"])
        subprocess.run(
            [
                programs / "initdb",
                "--pgdata",
                data,
                "--username=postgres",
                "--auth=scram-sha-256",
                "--pwfile",
                password,
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **how,
        )
        settings = [f"--{name}={value}" for name, value in {"fsync": "off", "listen_addresses": HOST}.items()]
        server = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-k", str(folder), *settings]
        probe = [programs / "pg_isready", "--host", HOST, "--port", str(port), "--username", "postgres"]
        with running(
            server,
            lambda: subprocess.run(probe, capture_output=True).returncode == 0,
            folder / "log",
            folder,
            os.environ,
            **how,
        ):
            environment = client(port, "POSTGRES_PASSWORD") | PASSWORDS
            environment["PATH"] = f"{programs}:{environment['PATH']}"
            subprocess.run([KUBERNETES / "databases.sh"], env=environment, check=True, capture_output=True)
            yield port
    finally:
        shutil.rmtree(folder)


def client(port: int, password: str) -> dict[str, str]:
    """Environment of a client of PostgreSQL."""
    return dict(os.environ) | {"PGHOST": HOST, "PGPORT": str(port), "PGPASSWORD": PASSWORDS[password]}


def query(programs: Path, port: int, user: str, sql: str) -> list[str]:
    """Rows of a query in the database of a user."""
    command = [programs / "psql", "--no-align", "--tuples-only", "--username", user, "--dbname", user, "--command", sql]
    environment = client(port, f"{user.upper()}_DATABASE_PASSWORD")
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.splitlines()


@contextmanager
def object_store(folder: Path) -> Iterator[dict[str, str]]:
    """An S3 server; yields the settings of its clients."""
    port = free_port(0)
    address = f"http://{HOST}:{port}"
    command = [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(port)]
    with running(command, lambda: answers(f"{address}/moto-api/"), folder / "s3.log", folder, own_environment()):
        yield KEYS | {"AWS_ENDPOINT_URL": address}


class Deployed:
    """A container of a Deployment.

    Args:
        name: of the manifest and its Deployment.
        addresses: what this machine has in place of names of the cluster.
    """

    def __init__(self, name: str, addresses: Mapping[str, str]):
        text = (KUBERNETES / f"{name}.yaml").read_text()
        for there, here in addresses.items():
            assert there in text
            text = text.replace(there, here)
        (deployment,) = (manifest for manifest in yaml.safe_load_all(text) if manifest["kind"] == "Deployment")
        pod = deployment["spec"]["template"]["spec"]
        (self.container,) = pod["containers"]
        self.before = pod.get("initContainers", [])

    def environment(self, container: Mapping[str, Any]) -> dict[str, str]:
        """As the manifest says, secrets included; sources of many variables are the caller's."""
        found = own_environment()
        for variable in container["env"]:
            secret = variable.get("valueFrom", {}).get("secretKeyRef", {}).get("key")
            found[variable["name"]] = PASSWORDS[secret] if secret else variable["value"]
        return found

    def command(self, container: Mapping[str, Any], port: int) -> list[str]:
        """As the manifest says, on a port of this machine's loopback."""
        arguments = [{"0.0.0.0": HOST}.get(word, word) for word in container["args"]]
        if "--port" in arguments:
            arguments[arguments.index("--port") + 1] = str(port)
        if arguments[0] == "python":  # a file of ours, which the image has in /opt/ladd
            return [sys.executable, str(REPOSITORY / "flows" / Path(arguments[1]).name), *arguments[2:]]
        return [sys.executable, "-m", *arguments]

    @contextmanager
    def run(self, health: str, folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
        """Run it after its init containers; yields its address."""
        for container in self.before:
            environment = self.environment(container) | settings
            subprocess.run(self.command(container, 0), env=environment, cwd=folder, check=True, capture_output=True)
        port = free_port(0)
        address = f"http://{HOST}:{port}"
        environment = self.environment(self.container) | settings
        command = self.command(self.container, port)
        with running(command, lambda: answers(address + health), folder / f"{port}.log", folder, environment):
            yield address
