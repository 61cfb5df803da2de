"""Ray nodes on this machine that do not see the folder of the driver: an empty one is mounted in its place."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

from flows.ui import free_port
from tests.flows.site import until
from tests.stages.attempts import below
from tests.stages.tiny import environment

# Mount an empty folder over the first argument, and become the rest.
HIDDEN = 'mount -t tmpfs none "$1" && shift && exec "$@"'
HEAD = ["--num-cpus=0", "--include-dashboard=false"]
UNSHARE = ["unshare", "--mount", "--propagation", "private"]


def can_hide() -> bool:
    """Whether this user may give processes a view of their own of the file system."""
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


class Nodes:
    """A cluster: a head without room for workers, and nodes with room for one each.

    Args:
        hidden: folder that no node sees.
        folder: for a folder of each node, and logs.
    """

    def __init__(self, hidden: Path, folder: Path):
        self.hidden, self.folder = hidden, folder
        self.port, self.temporary = free_port(0), tempfile.mkdtemp(prefix="lr-", dir="/tmp")
        self.token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
        self.processes: dict[str, subprocess.Popen] = {}
        self.address = ""
        self.start("head", "--head", f"--port={self.port}", f"--temp-dir={self.temporary}", *HEAD)

    @property
    def settings(self) -> dict[str, str]:
        """Variables with which a driver joins."""
        return self.token | {"RAY_ADDRESS": self.address}

    def add(self, name: str) -> None:
        """Start a node for one worker."""
        self.start(name, f"--address={self.address}", "--num-cpus=1")

    def start(self, name: str, *arguments: str) -> None:
        own = self.folder / name
        own.mkdir(parents=True, exist_ok=True)
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--block"]
        ray += ["--object-store-memory=80000000", "--disable-usage-stats"]
        command = [*UNSHARE, "sh", "-ceu", HIDDEN, "sh", str(self.hidden), *ray, *arguments]
        kept = {key: value for key, value in environment().items() if not key.startswith(("AWS_", "LADD_", "RAY_"))}
        kept |= self.token | {"LADD_NODE_FOLDER": str(own), "RAY_worker_niceness": "0"}

        def is_up() -> bool:
            """Ray gives up a start after 30 seconds, which is not enough on a busy machine."""
            if name not in self.processes or self.processes[name].poll() is not None:
                with (own / "log").open("w") as log:
                    self.processes[name] = subprocess.Popen(command, cwd=own, env=kept, stdout=log, stderr=log)
            return bool(self.raylet(name)) and "Ray runtime started" in (own / "log").read_text()

        until(is_up, f"the start of {name}")
        if name == "head":
            self.address = re.findall(r"--address='([\d.:]+)'", (own / "log").read_text())[-1]

    def raylet(self, name: str) -> list[psutil.Process]:
        return below(self.processes[name].pid, "raylet/raylet")

    def workers(self) -> list[psutil.Process]:
        """Of a training, by their nodes."""
        return [each for process in self.processes.values() for each in below(process.pid, "RayTrainWorker")]

    def hides(self, name: str) -> bool:
        """Whether processes of a node find the hidden folder empty."""
        [raylet] = self.raylet(name)
        return not os.listdir(f"/proc/{raylet.pid}/root{self.hidden}")

    def kill(self, name: str) -> None:
        """As the power does."""
        process = self.processes.pop(name)
        victims = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for victim in victims:
            victim.kill()
        process.wait()
        psutil.wait_procs(victims, timeout=10)

    def end(self) -> None:
        for name in list(self.processes):
            self.kill(name)
        shutil.rmtree(self.temporary, ignore_errors=True)
