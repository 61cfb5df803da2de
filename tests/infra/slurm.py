"""A job of Slurm without Slurm: the launcher in a checkout of its own, with `srun` and `scontrol` that only write down
what they are asked, and the real DVC."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil

from tests.flows.site import processes_of
from tests.infra.manifests import INFRA, REPOSITORY

LAUNCHER = INFRA / "slurm/ladd.sbatch"
READY = ("errors.py", "files.py", "launch/__init__.py", "launch/ready.py")  # what runs before DVC

# Ray of a node: it lives until it is ended.
SRUN = """#!/bin/bash
echo "srun $*" >> "$CALLS"
[[ $* == *"ray start"* ]] || exit 0
[ -z "${RAY_CODE:-}" ] || exit "$RAY_CODE"
trap 'echo "ended: $*" >> "$CALLS"; kill %1; exit 143' TERM
sleep infinity &
echo "started: $*" >> "$CALLS"
wait
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> "$CALLS"
[ "$1" != show ] || printf 'gpu-1\\ngpu-2\\ngpu-3\\n'
"""
WAIT = """
import os, signal, sys
print("waited for", sys.argv[1], flush=True)
code = os.environ.get("NODES_CODE", "0")
if code == "wait":
    signal.pause()
sys.exit(int(code))
"""
# What a stage does: it says what it finds, and ends at once or when it is asked to.
STAGE = """
import json, os, pathlib, signal, sys
token = pathlib.Path(os.environ["RAY_AUTH_TOKEN_PATH"])
found = {name: os.environ.get(name) for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "LADD_WORKERS")}
found |= {"mode": oct(token.stat().st_mode & 0o777), "token": token.read_text()}
def end(number, frame):
    pathlib.Path("checkpoint").touch()
    sys.exit(75)
signal.signal(signal.SIGTERM, end)
pathlib.Path("found.partial").write_text(json.dumps(found))
os.replace("found.partial", "found.json")
code = os.environ["STAGE_CODE"]
if code == "wait":
    signal.pause()
pathlib.Path("output").touch()
sys.exit(int(code))
"""


class Job:
    """A checkout with one suite, and the programs that the launcher finds on its path.

    Args:
        folder: empty.
        command: of the suite's stage.
    """

    def __init__(self, folder: Path, command: str = "python -m ladd.stages.stage2 x"):
        self.root, self.suite, self.calls_file = folder / "r", folder / "r/suites/x", folder / "calls"
        self.output = folder / "output"
        self.started: list[subprocess.Popen[bytes]] = []
        self.calls_file.touch()
        programs = folder / "bin"
        for path, text in {
            programs / "srun": SRUN,
            programs / "scontrol": SCONTROL,
            self.root / "infra/slurm/wait_for_nodes.py": WAIT,
            **{self.root / "ladd" / name: (REPOSITORY / "ladd" / name).read_text() for name in READY},
            self.root / "ladd/__init__.py": "",
            self.root / "ladd/stages/__init__.py": "",
            self.root / "ladd/stages/stage2.py": STAGE,
            self.suite / "dvc.yaml": f"stages: {{train: {{cmd: '{command}', deps: [input], outs: [output]}}}}\n",
            self.suite / "input": "",
            self.root / ".dvc/config": "[core]\n    no_scm = True\n",
        }.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for program in programs.iterdir():
            program.chmod(0o755)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "CALLS": str(self.calls_file),
            "DVC_NO_ANALYTICS": "1",
            "LADD_HEAD_ADDRESS": "10.0.0.1",
            "SLURM_SUBMIT_DIR": str(self.root),
            "SLURM_JOB_ID": "4242",
            "SLURM_JOB_NODELIST": "gpu-[1-3]",
            "SLURM_GPUS_ON_NODE": "8",
            "SLURM_CPUS_PER_TASK": "64",
            "RAY_AUTH_TOKEN": "of-another-cluster",
            "STAGE_CODE": "0",
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start the launcher, in a session of its own and with its output in a file, as Slurm does."""
        with self.output.open("w") as output:
            process = subprocess.Popen(
                [str(LAUNCHER), *(arguments or ("suites/x",))],
                env=self.environment | environment,
                cwd=self.root,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def end(self) -> None:
        """End what still runs, as Slurm would: the launcher, and then whatever it or a killed `dvc` left."""
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.wait()
        for left in processes_of(self.root):
            with contextlib.suppress(psutil.NoSuchProcess):
                left.kill()

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Exit code and output."""
        return self.start(*arguments, **environment).wait(), self.output.read_text()

    def calls(self, prefix: str) -> list[str]:
        """Lines that the stand-ins wrote down."""
        return [line for line in self.calls_file.read_text().splitlines() if line.startswith(prefix)]
