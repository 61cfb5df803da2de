"""A process that a test leaves behind is found, whatever it did to get away, and the run fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.flows.site import until
from tests.leftovers import MARK, leftovers

REPOSITORY = Path(__file__).resolve().parents[1]
SLEEP = [sys.executable, "-S", "-c", "import time; print('up', flush=True); time.sleep(600)"]
# The parent ends at once, so that the system adopts the child.
ORPHAN = [
    sys.executable,
    "-S",
    "-c",
    f"import subprocess; p = subprocess.Popen({SLEEP}, start_new_session=True); print(p.pid, flush=True)",
]


def orphan(cwd: Path, environment: dict[str, str]) -> int:
    with subprocess.Popen(ORPHAN, cwd=cwd, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        lines = {parent.stdout.readline().strip() for _ in range(2)}
    (pid,) = lines - {"up"}
    return int(pid)


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("way", ["mark", "folder"])
def test_orphan_is_found_and_killed(tmp_path, way):
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "folder"
    elsewhere.mkdir()
    folder.mkdir()
    environment = {"PYTEST_CURRENT_TEST": "test_it (call)"} | ({MARK: "run-1"} if way == "mark" else {})
    pid = orphan(elsewhere if way == "mark" else folder, environment)
    assert pid not in {left.process.pid for left in leftovers("run-2", tmp_path / "other")}
    # In a process of its own: the children of this one are servers of other tests, and `end` would kill them.
    code = "import pathlib, sys; from tests.leftovers import end; print(*end('run-1', pathlib.Path(sys.argv[1]), 0.0))"
    ended = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert ended.stdout.startswith(f"process {pid}, of test_it (call): {sys.executable}")
    until(lambda: not lives(pid), "the end of the orphan")


def test_child_is_found_without_mark_and_in_any_folder(tmp_path):
    with subprocess.Popen(SLEEP, cwd="/", env={}, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert child.pid in {left.process.pid for left in leftovers("run-2", tmp_path)}
        child.kill()


def test_run_that_leaves_a_process_fails_and_names_the_test(tmp_path):
    program = tmp_path / "test_it.py"
    program.write_text(
        f"import subprocess\ndef test_that_leaves():\n    subprocess.Popen({SLEEP}, stdout=subprocess.DEVNULL)\n"
        "def test_that_does_not():\n    subprocess.run(['true'], check=True)\n"
    )
    plugin = tmp_path / "short.py"
    plugin.write_text(
        "import tests.leftovers as l\nl.GRACE = 0.2\nfrom tests.leftovers import nothing_is_left_running\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "short",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
    ]
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{REPOSITORY}"}

    def run(test: str) -> subprocess.CompletedProcess[str]:
        words = [*command, f"--basetemp={tmp_path / 'base'}", f"{program}::{test}"]
        return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True)

    failed = run("test_that_leaves")
    assert failed.returncode == 1, failed.stdout
    # Once or twice: where `CI` is set, pytest's summary at the end has the whole message again.
    (pid,) = set(re.findall(r"process (\d+), of test_it\.py::test_that_leaves", failed.stdout))
    until(lambda: not lives(int(pid)), "the end of what was left")
    assert run("test_that_does_not").returncode == 0
