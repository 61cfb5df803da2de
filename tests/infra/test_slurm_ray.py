"""The Slurm launcher with two real Ray nodes on this machine: an interrupted training goes on in the next try."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ladd.stages.recorded import read_history
from tests.builders import executor
from tests.flows.site import until
from tests.infra.manifests import INFRA
from tests.infra.slurm import Job
from tests.stages.tiny import make_suite, tiny_values

KEY, STEPS, EVERY = "mdlm", 2000, 20
NUMBER = str(os.getpid())  # of the job, which takes its port from it
TEMPORARY = f"/tmp/ray-{os.getuid()}-{NUMBER}"
# The command of a step, in the place of its options; every node is this machine.
SRUN = """#!/bin/bash
echo "srun $*" >> "$CALLS"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> "$CALLS"
[ "$1" != show ] || printf 'node-1\\nnode-2\\n'
"""
# Another driver on this node.
DRIVER = """
import ray
try:
    ray.init("auto", logging_level="ERROR")
    print("joined", len(ray.nodes()))
except Exception as error:
    print("refused", error)
"""


@pytest.fixture
def job(tmp_path) -> Iterator[Job]:
    """A job of a suite whose training is shared by two workers; a node has room for one."""
    job = Job(tmp_path)
    shutil.rmtree(job.root)
    values = tiny_values()
    training = {"steps": STEPS, "validate_every": EVERY, "checkpoint_every": EVERY}
    values["baselines"][KEY]["training"] |= training | {"executor": executor(kind="ray", workers=2)}
    make_suite(job.root, job.suite, {"baselines": values["baselines"]})
    shutil.copytree(INFRA, job.root / "infra")
    (job.root / ".dvc").mkdir()
    (job.root / ".dvc/config").write_text("[core]\n    analytics = false\n")
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (tmp_path / "bin" / name).write_text(text)
    for name in ("LADD_HEAD_ADDRESS", "MLFLOW_TRACKING_URI", "RAY_AUTH_TOKEN"):
        job.environment.pop(name, None)
    job.environment |= {
        "SLURM_JOB_ID": NUMBER,
        "SLURM_GPUS_ON_NODE": "0",
        "SLURM_CPUS_PER_TASK": "1",
        "OMP_NUM_THREADS": "1",
    }
    yield job
    job.end()


@pytest.mark.slow
def test_interrupted_training_on_two_nodes_goes_on_in_the_next_try(job, tmp_path):
    def checkpoints() -> list[Path]:
        assert process.poll() is None, job.output.read_text()
        return list((job.suite / ".work").glob("*/*/step-*"))

    process = job.start("suites/x", f"baseline@{KEY}")
    until(checkpoints, "the first checkpoint")
    assert "Ray has 2 nodes" in job.output.read_text()
    (tmp_path / "token").write_text("0" * 64)
    assert other_driver(job, tmp_path / "token").startswith("refused")
    assert other_driver(job, job.root / f".work/slurm-{NUMBER}/token") == "joined 2\n"

    process.send_signal(signal.SIGTERM)
    assert process.wait() == 255, job.output.read_text()
    saved = int(re.findall(r"step (\d+)", job.output.read_text().split("passed on")[1])[0])
    assert 0 < saved < STEPS
    assert job.calls("scontrol requeue") == [f"scontrol requeue {NUMBER}"]
    assert not ray_processes()

    code, output = job.run("suites/x", f"baseline@{KEY}", SLURM_RESTART_COUNT="1")
    assert code == 0, output
    history = read_history(job.suite / f"results/history/baseline-{KEY}.csv")
    assert history[-1]["step"] == STEPS
    shown = [int(step) for step in re.findall(rf"(\d+)/{STEPS}", output)]
    assert min(shown) == saved  # the progress bar of the second try begins there
    assert not ray_processes()
    assert not Path(TEMPORARY).exists()


def other_driver(job: Job, token: Path) -> str:
    """What a driver comes to that knows the address and has this token."""
    address = re.search(r"ray start --address=([\d.:]+)", job.output.read_text()).group(1)
    settings = {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    command = ["python", "-c", DRIVER]
    return subprocess.run(command, env=job.environment | settings, capture_output=True, text=True, check=True).stdout


def ray_processes() -> list[str]:
    """Command lines of the processes of this job's Ray."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if TEMPORARY in text:
            found.append(text)
    return found
