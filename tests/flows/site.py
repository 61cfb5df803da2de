"""`make ui` in a checkout of its own, driven through its API as the browser does."""

import base64
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.stages.tiny import environment

PATIENCE = 1800.0  # seconds; a start takes a few, and minutes where the machine is busy
MINE = ("PREFECT", "MLFLOW", "LADD")


def own_environment() -> dict[str, str]:
    """Without the settings of the process that runs the tests, and with time to start on a busy machine."""
    kept = {name: value for name, value in environment().items() if not name.startswith(MINE)}
    return kept | {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(int(PATIENCE))}


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.2)
    return found


def processes_of(checkout: Path) -> list[psutil.Process]:
    """Living processes that work in a checkout."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(checkout) and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
        if inside:
            found.append(process)
    return found


class Site:
    """The servers of a checkout.

    Attributes:
        process: `python -m flows.ui`.
        addresses: of Prefect and MLflow.
    """

    def __init__(self, checkout: Path):
        self.checkout, self.output = checkout, checkout / ".prefect/output.txt"
        self.output.parent.mkdir(exist_ok=True)
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.ui"], cwd=checkout, env=own_environment(), stdout=output, stderr=output
            )
        until(lambda: "Ctrl-C" in self.printed or self.process.poll() is not None, "the start")
        assert self.process.poll() is None, self.printed
        self.addresses = json.loads((checkout / ".prefect/ui.json").read_text())
        self.auth = (checkout / ".prefect/auth").read_text().strip()
        self.client = str(uuid.uuid4())
        self.token = self.call(f"/api/csrf-token?client={self.client}")["token"]

    @property
    def printed(self) -> str:
        return self.output.read_text()

    @property
    def headers(self) -> dict[str, str]:
        """Of a request of the owner's own pages."""
        password = base64.b64encode(self.auth.encode()).decode()
        csrf = {"Prefect-Csrf-Client": self.client, "Prefect-Csrf-Token": self.token} if hasattr(self, "token") else {}
        return {"Content-Type": "application/json", "Authorization": f"Basic {password}"} | csrf

    def call(self, path: str, body: Any = None, server: str = "prefect") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.addresses[server]}{path}", data=data, headers=self.headers)
        while True:
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:  # the server is busy
                    raise

    def launch(self, flow: str, deployment_name: str = "local", **parameters: Any) -> str:
        """Launch a flow of a deployment, the served one; the id of the flow run."""
        deployment = self.call(f"/api/deployments/name/{flow}/{deployment_name}")["id"]
        run = self.call(f"/api/deployments/{deployment}/create_flow_run", {"parameters": parameters})
        return run["id"]

    def state(self, run: str) -> str:
        return self.call(f"/api/flow_runs/{run}")["state"]["type"]

    def message(self, run: str) -> str:
        return self.call(f"/api/flow_runs/{run}")["state"]["message"] or ""

    def ended(self, run: str) -> str:
        """Type of the last state of a flow run, when it has one."""
        last = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        return until(lambda: state if (state := self.state(run)) in last else None, f"the end of flow run {run}")

    def cancel(self, run: str) -> None:
        self.call(f"/api/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}, "force": False})

    def states(self, run: str) -> dict[str, str]:
        """Name of the state of every task of a flow run."""
        only = {"flow_runs": {"id": {"any_": [run]}}}
        return {task["name"]: task["state"]["name"] for task in self.call("/api/task_runs/filter", only)}

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)
