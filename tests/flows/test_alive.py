"""Flow runs without a process are found, and no others."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.states import Completed, Running

import flows.suite
from flows.suite import alive, bury_the_dead, is_held


@pytest.fixture
def locks(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(flows.suite, "LOCKS", tmp_path / "flow-runs")
    return tmp_path / "flow-runs"


def test_holder_of_the_lock_is_alive_until_it_ends(locks):
    with alive("run"):
        assert is_held(locks / "run")
        assert not is_held(locks / "other")
    assert not is_held(locks / "run")
    assert list(locks.iterdir()) == []


def test_killed_process_is_not_alive(locks):
    code = "import flows.suite as a, pathlib, os, signal, sys; a.LOCKS = pathlib.Path(sys.argv[1])\n"
    code += "with a.alive('run'): print(a.is_held(a.LOCKS / 'run'), flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", code, str(locks)], capture_output=True, text=True, env=os.environ)
    assert (killed.returncode, killed.stdout) == (-9, "True\n")
    assert not is_held(locks / "run")


def test_running_flow_runs_without_a_process_are_marked_as_crashed(prefect):
    @flow(name="pipeline")
    def ours() -> None:
        pass

    @flow(name="elsewhere")
    def others() -> None:
        pass

    with get_client(sync_client=True) as client:
        dead, living, foreign, done = (
            client.create_flow_run(each, state=state)
            for each, state in ((ours, Running()), (ours, Running()), (others, Running()), (ours, Completed()))
        )
        with alive(str(living.id)):
            assert bury_the_dead() == [dead.name]
        states = [client.read_flow_run(each.id).state for each in (dead, living, foreign, done)]
    assert [state.type.value for state in states] == ["CRASHED", "RUNNING", "RUNNING", "COMPLETED"]
    assert "launch it again" in states[0].message
