"""`make ui`: launched, cancelled, killed, restarted. Nothing is lost, nothing runs twice, no process is left."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.flows.checkout import make_checkout, runs, stage
from tests.flows.site import PATIENCE, Site, own_environment, processes_of, until

pytestmark = pytest.mark.slow

# long ends when the test says so, and meanwhile holds a lock as every stage does (ladd/lock.py).
GATE = "touch started && flock --conflict-exit-code 75 --nonblock held sh -c 'until test -e go; do sleep 0.1; done'"
STAGES = {
    "first": stage("true", out="first.out"),
    "long": stage(GATE, "first.out", out="long.out"),
    "last": stage("true", "long.out", out="last.out"),
}
FLOW = ("-m", "flows.pipeline")


@pytest.fixture
def checkout(tmp_path) -> Iterator[Path]:
    folder = make_checkout(tmp_path / "r", STAGES, code=True)
    yield folder
    for process in processes_of(folder):  # of a test that failed
        process.kill()


@pytest.fixture
def site(checkout) -> Iterator[Site]:
    site = Site(checkout)
    yield site
    if site.process.poll() is None:
        site.stop()


def started(checkout: Path, process: subprocess.Popen[str] | None = None) -> None:
    """Wait until the long stage runs; ``process`` should have started it."""
    note = checkout / "started"
    until(lambda: note.exists() or (process and process.poll() is not None), "the start of the long stage")
    assert note.exists(), process.communicate()[0]


def waits(process: subprocess.Popen[str]) -> str:
    """The line in which a flow says that it waits for another process."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "waits for another process" in line:
            return line
    raise AssertionError("".join(lines))


def go(checkout: Path) -> None:
    (checkout / "go").touch()


def start(checkout: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=checkout,
        env=own_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=PATIENCE)
    return output


def test_launch_cancel_launch_again_and_stop(site, checkout):
    """One after the other, as each start takes seconds."""
    run = site.launch("pipeline")
    started(checkout)
    site.cancel(run)
    assert site.ended(run) == "CANCELLED"
    until(lambda: not stages_of(checkout), "the end of all stages")
    assert runs(checkout) == ["first.out", "long.out"]

    go(checkout)
    run = site.launch("pipeline")
    assert site.ended(run) == "COMPLETED"
    until(lambda: set(site.states(run).values()) == {"Unchanged", "Completed"}, "the last states")
    assert site.states(run) == {"first": "Unchanged", "long": "Completed", "last": "Completed"}

    assert site.ended(site.launch("pipeline", suite="suites/none")) == "FAILED"
    assert site.stop() == 0
    assert processes_of(checkout) == []
    assert not (checkout / ".prefect/ui.json").exists()


def stages_of(checkout: Path) -> list[psutil.Process]:
    return [process for process in processes_of(checkout) if "flock" in process.name() or "dvc" in process.cmdline()]


def test_stopping_the_servers_ends_a_launch_with_all_its_processes(site, checkout):
    site.launch("pipeline")
    started(checkout)
    assert site.stop() == 0
    assert processes_of(checkout) == []


def test_killed_servers_leave_no_process_and_the_next_start_buries_the_run(site, checkout):
    run = site.launch("pipeline")
    started(checkout)
    os.kill(site.process.pid, signal.SIGKILL)
    site.process.wait()
    until(lambda: not processes_of(checkout), "the end of all processes")
    again = Site(checkout)
    try:
        assert again.ended(run) in ("CRASHED", "CANCELLED")
    finally:
        again.stop()


def test_wrong_parameters_are_refused_before_a_run_exists(site):
    with pytest.raises(OSError, match="409"):
        site.launch("pipeline", jobs=0)


def test_dead_server_stops_the_others_and_says_so(site, checkout):
    victim = next(process for process in processes_of(checkout) if "flows.mlflow_server" in process.cmdline())
    victim.kill()
    assert site.process.wait(PATIENCE) == 1
    assert "MLflow ended with exit code" in site.printed
    assert processes_of(checkout) == []


def test_second_start_says_where_the_first_is(site, checkout):
    second = start(checkout, "-m", "flows.ui")
    output = finish(second)
    assert second.returncode == 1
    assert site.addresses["prefect"] in output


def test_taken_ports_are_left_to_their_owner(checkout):
    with socket.socket() as owner:
        owner.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # of a server that has just ended
        with contextlib.suppress(OSError):  # somebody has it already
            owner.bind(("127.0.0.1", 4200))
            owner.listen()
        site = Site(checkout)
        try:
            assert "port 4200 is taken" in site.printed
            assert not site.addresses["prefect"].endswith(":4200")
            assert site.call("/ui-settings")["api_url"] == f"{site.addresses['prefect']}/api"  # for the pages
        finally:
            site.stop()


def test_command_line_reports_to_the_servers(site, checkout):
    go(checkout)
    flow = start(checkout, *FLOW)
    assert "pipeline" in finish(flow)
    assert flow.returncode == 0
    found = site.call("/api/flow_runs/filter", {})
    assert [run["state"]["type"] for run in found] == ["COMPLETED"]


def test_server_may_be_restarted_in_the_middle_of_a_launch_from_the_command_line(site, checkout):
    flow = start(checkout, *FLOW)
    started(checkout, flow)
    site.stop()
    again = Site(checkout)
    try:
        assert again.addresses == site.addresses
        go(checkout)
        output = finish(flow)
        assert flow.returncode == 0, output
        assert runs(checkout) == ["first.out", "long.out", "last.out"]
    finally:
        again.stop()


def test_two_flows_at_once_run_each_stage_once(checkout):
    first = start(checkout, *FLOW)
    started(checkout, first)
    second = start(checkout, *FLOW)
    waits(second)
    go(checkout)
    outputs = finish(first), finish(second)
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sorted(runs(checkout)) == ["first.out", "last.out", "long.out"]


def test_flow_waits_for_a_dvc_repro(checkout):
    other = start(checkout, "-m", "dvc", "repro")
    started(checkout, other)
    flow = start(checkout, *FLOW)
    line = waits(flow)
    assert f"(PID {other.pid})" in line
    go(checkout)
    assert "Completed" in finish(flow)
    finish(other)
    assert (flow.returncode, other.returncode) == (0, 0)
    assert sorted(runs(checkout)) == ["first.out", "last.out", "long.out"]


@pytest.mark.parametrize("killed", ["flow", "flow and dvc"])
def test_launch_after_a_kill_waits_for_the_orphan_by_its_number_and_goes_on(checkout, killed):
    flow = start(checkout, *FLOW)
    started(checkout, flow)
    dvc = next(process for process in stages_of(checkout) if "dvc" in process.cmdline())
    flow.kill()
    if killed == "flow and dvc":
        dvc.kill()
    flow.wait()
    flow.stdout.close()  # its temporary server, an orphan too, keeps the other end open
    again = start(checkout, *FLOW)
    line = waits(again)
    assert killed == "flow and dvc" or f"(PID {dvc.pid})" in line
    go(checkout)
    output = finish(again)
    assert again.returncode == 0, output
    assert runs(checkout).count("last.out") == 1


def test_ended_flow_leaves_no_process(checkout):
    flow = start(checkout, *FLOW)
    started(checkout, flow)
    flow.send_signal(signal.SIGINT)
    finish(flow)
    assert flow.returncode != 0
    assert processes_of(checkout) == []


def test_deployments_of_prefect_yaml_are_run_by_a_worker(site, checkout):
    (checkout / "prefect.yaml").write_text((Path(__file__).parents[2] / "prefect.yaml").read_text())
    settings = own_environment() | {
        "PREFECT_HOME": str(checkout / ".prefect"),
        "PREFECT_API_URL": f"{site.addresses['prefect']}/api",
        "PREFECT_API_AUTH_STRING": site.auth,
        "PWD": str(checkout),  # as a shell sets it
    }

    def prefect(*arguments: str) -> None:
        command = [sys.executable, "-m", "prefect", *arguments]
        subprocess.run(command, cwd=checkout, env=settings, check=True, capture_output=True)

    prefect("work-pool", "create", "local", "--type", "process")
    prefect("--no-prompt", "deploy", "--all")
    for flow in ("pipeline", "ablation"):
        deployed = site.call(f"/api/deployments/name/{flow}/pool")
        (pull,) = deployed["pull_steps"]
        assert pull["prefect.deployments.steps.set_working_directory"]["directory"] == str(checkout)
        assert deployed["enforce_parameter_schema"]

    go(checkout)
    run = site.launch("pipeline", "pool")
    prefect("worker", "start", "--pool", "local", "--run-once")
    assert site.ended(run) == "COMPLETED"
    assert runs(checkout) == ["first.out", "long.out", "last.out"]
