"""The Slurm launcher: its commands, its token, and what it does with a signal and with exit code 75."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ladd.stages.runtime import EXIT_TEMPORARY
from tests.flows.site import processes_of, until
from tests.infra.manifests import INFRA
from tests.infra.slurm import LAUNCHER, Job

SCRIPTS = sorted({*INFRA.rglob("*.sh"), *INFRA.rglob("*.sbatch")})
REQUEUE = "scontrol requeue 4242"


@pytest.fixture
def job(tmp_path) -> Iterator[Job]:
    job = Job(tmp_path)
    yield job
    job.end()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shell_scripts_pass_their_checks(script):
    subprocess.run(["bash", "-n", str(script)], check=True)
    checker = str(Path(sys.executable).parent / "shellcheck")
    found = subprocess.run([checker, "--severity=style", str(script)], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")
    assert script.stat().st_mode & 0o100


def test_checks_would_find_a_mistake(tmp_path):
    script = tmp_path / "x.sh"
    script.write_text(LAUNCHER.read_text().replace('rm -rf "$state"', "rm -rf $state"))
    checker = str(Path(sys.executable).parent / "shellcheck")
    assert "SC2086" in subprocess.run([checker, str(script)], capture_output=True, text=True).stdout


def test_slurm_is_asked_for_a_signal_and_for_the_queue():
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)(?:=(.*))?$", LAUNCHER.read_text(), re.MULTILINE))
    assert options["signal"] == "B:TERM@120"  # to the launcher alone: Ray must live until the checkpoint is written
    assert options["requeue"] == ""
    assert options["open-mode"] == "append"  # what was logged before stays
    assert options["ntasks-per-node"] == "1"


def test_dry_run_prints_the_commands_and_runs_none(job):
    code, output = job.run("suites/x", "stage2@x", DRY_RUN="1")
    assert code == 0
    assert job.calls("") == ["scontrol show hostnames gpu-[1-3]"]  # asks, and changes nothing
    assert not (job.root / ".work").exists()
    commands = [shlex.split(line)[1:] for line in output.splitlines()]
    assert len(commands) == 9
    private, head, first, workers, every, folder, ready, dvc, clean = commands
    temporary = f"/tmp/ray-{os.getuid()}-4242"
    ray = [
        "--block",
        f"--temp-dir={temporary}",
        "--object-store-memory=1000000000",
        "--num-gpus=8",
        "--num-cpus=64",
        "&",
    ]
    assert private[:4] == ["srun", "--overlap", "--nodes=3", "--ntasks-per-node=1"]
    assert private[-1] == temporary
    assert head[:6] == ["srun", "--overlap", "--nodes=1", "--ntasks=1", "--nodelist=gpu-1", "ray"]
    start = ["start", "--head", "--node-ip-address=HEAD", "--port=24242", "--include-dashboard=false"]
    assert head[6:] == [*start, *ray]
    assert workers[:6] == ["srun", "--overlap", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--exclude=gpu-1"]
    assert workers[6:] == ["ray", "start", "--address=HEAD:24242", *ray]
    wait = ["python", "infra/slurm/wait_for_nodes.py"]
    assert [first, every] == [[*wait, "1", "600"], [*wait, "3", "600"]]
    assert folder == ["cd", str(job.suite)]
    assert ready == ["python", "-m", "ladd.launch.ready"]
    assert dvc == ["dvc", "repro", "stage2@x"]
    assert clean == ["srun", "--overlap", "--nodes=3", "--ntasks-per-node=1", "rm", "-rf", temporary]


def test_one_node_needs_no_workers(job):
    scontrol = job.root.parent / "bin/scontrol"
    scontrol.write_text("#!/bin/bash\necho gpu-1\n")
    code, output = job.run(DRY_RUN="1")
    assert code == 0
    assert output.count("ray start") == 1


def test_wrong_suite_is_refused_before_anything_starts(job):
    code, output = job.run("suites/nothing")
    assert code == 2
    assert "suites/nothing has no dvc.yaml" in output
    assert job.calls("") == []
    assert job.run("--help")[0] == 2


def test_stage_finds_cluster_and_token_and_nothing_is_left_behind(job):
    code, output = job.run()
    assert code == 0, output
    found = json.loads((job.suite / "found.json").read_text())
    token = found.pop("token")
    assert re.fullmatch("[0-9a-f]{64}", token)
    assert found == {
        "RAY_ADDRESS": "10.0.0.1:24242",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": None,
        "LADD_WORKERS": "24",
        "mode": "0o600",
    }
    assert len(job.calls("started")) == len(job.calls("ended")) == 2  # head, and workers
    assert job.calls("scontrol requeue") == []
    assert not list((job.root / ".work").iterdir())
    assert token not in output
    assert token not in job.calls_file.read_text()


def test_tokens_differ_between_jobs(job):
    tokens = set()
    for _ in range(2):
        assert job.run("suites/x", "--force")[0] == 0
        tokens.add(json.loads((job.suite / "found.json").read_text())["token"])
    assert len(tokens) == 2


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize("command", ["python -m ladd.stages.stage2 x", "python -m ladd.stages.stage2 x || exit $?"])
def test_signal_reaches_the_stage_and_the_job_is_queued_again(tmp_path, shell, command):
    """With a shell between DVC and the stage too, which the second command makes stay."""
    job = Job(tmp_path, command)
    process = started(job, SHELL=shell)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 255, job.output.read_text()  # of dvc, which ended by itself
    assert "exited with 75" in job.output.read_text()
    assert (job.suite / "checkpoint").exists()
    assert job.calls("scontrol requeue") == [REQUEUE]
    assert len(job.calls("ended")) == 2
    claims = json.loads((job.root / ".dvc/tmp/rwlock").read_text())
    assert not any(claims.values())


def started(job: Job, **environment: str) -> subprocess.Popen[bytes]:
    """The launcher, once its stage waits to be ended."""
    process = job.start(STAGE_CODE="wait", **environment)
    while not (job.suite / "found.json").exists():
        assert process.poll() is None, job.output.read_text()
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_launcher_ends_although_a_killed_dvc_left_its_stage(job, shell):
    process = started(job, SHELL=shell)
    (dvc,) = (child for child in psutil.Process(process.pid).children() if "repro" in child.cmdline())
    dvc.kill()
    assert process.wait() == 128 + signal.SIGKILL
    claims = json.loads((job.root / ".dvc/tmp/rwlock").read_text())
    assert any(claims.values())  # so the test above sees whether DVC ended by itself
    assert job.calls("scontrol requeue") == []
    job.end()
    until(lambda: not processes_of(job.root), "the end of the stage that was left")


def test_claim_of_a_killed_job_is_dropped_although_its_number_is_alive(job):
    claims = job.root / ".dvc/tmp/rwlock"
    claims.parent.mkdir(parents=True)
    claims.write_text(json.dumps({"write": {str(job.suite / "output"): {"pid": os.getpid(), "cmd": "dvc repro"}}}))
    code, output = job.run()
    assert code == 0, output


def test_temporary_failure_is_queued_again(job):
    code, output = job.run(STAGE_CODE=str(EXIT_TEMPORARY))
    assert code == 255, output
    assert job.calls("scontrol requeue") == [REQUEUE]


@pytest.mark.parametrize("code", ["1", "7", "175"])
def test_other_failure_is_not(job, code):
    assert job.run(STAGE_CODE=code)[0] == 255
    assert job.calls("scontrol requeue") == []
    assert len(job.calls("ended")) == 2


@pytest.mark.parametrize(("restarts", "calls"), [("4", [REQUEUE]), ("5", [])])
def test_job_is_not_queued_again_for_ever(job, restarts, calls):
    code, _ = job.run(STAGE_CODE="75", SLURM_RESTART_COUNT=restarts, LADD_RESTARTS="5")
    assert code == 255
    assert job.calls("scontrol requeue") == calls


def test_nodes_that_do_not_come_queue_the_job_again(job):
    code, output = job.run(NODES_CODE="75")
    assert code == 75, output
    assert job.calls("scontrol requeue") == [REQUEUE]
    assert not (job.suite / "found.json").exists()


def test_ray_that_ends_is_not_waited_for(job):
    code, output = job.run(NODES_CODE="wait", RAY_CODE="1")
    assert code == 1
    assert "Ray ended before its nodes were there" in output
    assert job.calls("scontrol requeue") == []
    assert not (job.suite / "found.json").exists()


def test_signal_while_nodes_are_waited_for_queues_the_job_again(job):
    process = job.start(NODES_CODE="wait")
    until(lambda: "waited for 1" in job.output.read_text(), "the wait for the head")
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 75, job.output.read_text()
    assert job.calls("scontrol requeue") == [REQUEUE]
    assert len(job.calls("started")) == len(job.calls("ended")) == 1


def test_broken_ray_fails_the_job(job):
    assert job.run(NODES_CODE="1")[0] == 1
    assert job.calls("scontrol requeue") == []
    assert not (job.suite / "found.json").exists()


def test_no_ray_of_other_jobs_is_ended():
    commands = re.sub(r"(?m)#.*$", "", LAUNCHER.read_text())
    assert "ray start" in commands
    assert not re.search(r"ray stop|pkill|killall|scancel", commands)
