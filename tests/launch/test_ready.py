"""What killed processes and full disks leave is cleared before DVC starts; what a live DVC uses stays."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ladd.errors import LaunchError
from ladd.launch.project import write_project
from ladd.launch.ready import make_ready
from ladd.launch.run import repro
from tests.launch.repository import make_repository
from tests.stages.tiny import commit, environment, git

PIPELINE = """\
stages:
  a:
    cmd: echo made >> runs.txt && echo made > a.txt
    deps: [input.txt]
    outs: [a.txt]
"""
RECORD = """\
schema: '2.0'
stages:
  a:
    cmd: echo made > a.txt
    outs:
    - path: a.txt
      hash: md5
      md5: 0f07c1fb6a9d4fb1d2a4b5e4e2f3ab12
      size: 5
"""


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A repository in which DVC has run, with one suite at its root."""
    folder = make_repository(tmp_path / "repository", PIPELINE)
    (folder / ".dvc/tmp").mkdir()
    (folder / "input.txt").write_text("given")  # DVC remembers no run of a stage that reads nothing
    return folder


@contextlib.contextmanager
def process(folder: Path, *words: str) -> Iterator[int]:
    """The number of a process that sleeps in a folder, with these words in its command."""
    program = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, *words]
    with subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.readline()
        yield started.pid
        started.kill()


def ended() -> int:
    """The number of a process that was there."""
    with subprocess.Popen([sys.executable, "-c", ""]) as started:
        pass
    return started.pid


def claim(number: int) -> dict:
    return {"pid": number, "cmd": "dvc repro"}


def write_claims(checkout: Path, write: dict, read: dict | None = None) -> Path:
    path = checkout / ".dvc/tmp/rwlock"
    path.write_text(json.dumps({"write": write, "read": read or {}}))
    return path


def test_claims_of_others_than_a_dvc_of_this_checkout_are_dropped(checkout, tmp_path):
    gone = ended()
    with (
        process(checkout, "dvc", "repro") as live,
        process(checkout, "something", "else") as reused,
        process(tmp_path, "dvc", "repro") as elsewhere,
    ):
        write = {"a": claim(live), "b": claim(reused), "c": claim(elsewhere), "d": claim(gone), "e": claim(1)}
        path = write_claims(checkout, write, {"f": [claim(reused), claim(live)], "g": [claim(gone)]})
        make_ready(checkout)
        assert json.loads(path.read_text()) == {"write": {"a": claim(live)}, "read": {"f": [claim(live)]}}


@pytest.mark.parametrize(
    ("wrote", "runs", "holds"),
    [
        ("/x/.venv/bin/dvc repro", ["-m", "dvc", "repro"], True),
        ("/x/site-packages/dvc/__main__.py status", ["/y/bin/dvc", "repro"], True),
        ("/x/flows/pipeline.py --suite .", ["-m", "flows.pipeline"], True),
        ("/x/flows/pipeline.py --suite .", ["-m", "dvc", "repro"], False),
        ("/x/.venv/bin/dvc repro", ["-m", "dvcish", "repro"], False),
        ("/x/dvc/.venv/bin/dvc repro", ["-m", "mine", "/x/dvc/.venv/lib/mine.py"], False),  # a checkout of that name
        ("a program of somebody's", ["-m", "mine"], True),
    ],
)
def test_claim_is_that_of_a_process_of_the_same_program(checkout, wrote, runs, holds):
    with process(checkout, *runs) as number:
        path = write_claims(checkout, {"a": {"pid": number, "cmd": wrote}})
        make_ready(checkout)
        assert bool(json.loads(path.read_text())["write"]) == holds


def test_claim_with_the_number_of_this_process_is_of_an_earlier_one(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    path = write_claims(checkout, {"a": {"pid": os.getpid(), "cmd": "a program of somebody's"}})
    make_ready(checkout)
    assert json.loads(path.read_text())["write"] == {}


def test_claim_of_a_process_that_nobody_has_reaped_is_dropped(checkout):
    started = subprocess.Popen([sys.executable, "-c", "", "dvc"], cwd=checkout)
    os.waitid(os.P_PID, started.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    path = write_claims(checkout, {"a": claim(started.pid)})
    make_ready(checkout)
    started.wait()
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}


def test_dvc_runs_although_the_number_of_a_killed_one_is_alive(checkout):
    with process(checkout, "something", "else") as reused:
        write_claims(checkout, {str(checkout / "a.txt"): claim(reused)})
        repro(checkout, environment())
    assert (checkout / "a.txt").read_text() == "made\n"


@pytest.mark.parametrize("text", ["", '{"write": {"a": {"pi', '{"write": 3}', "[]", '{"write": {"a": {}}}'])
def test_list_of_claims_that_was_cut_off_is_emptied(checkout, text):
    (checkout / ".dvc/tmp/rwlock").write_text(text)
    repro(checkout, environment())
    assert (checkout / "a.txt").is_file()


def test_nothing_is_touched_where_nothing_is_wrong(checkout):
    (checkout / "dvc.lock").write_text(RECORD)
    make_ready(checkout)
    assert (checkout / "dvc.lock").read_text() == RECORD
    assert list((checkout / ".dvc/tmp").iterdir()) == []
    assert not (checkout / ".work").exists()


@pytest.mark.parametrize("kept", [0, 8, 30, 40, len(RECORD) - 60])
def test_record_that_was_cut_off_is_that_of_the_commit_again(checkout, kept):
    path = checkout / "dvc.lock"
    path.write_text(RECORD)
    commit(checkout)
    path.write_text(RECORD.replace("size: 5", "size: 6")[:kept])
    make_ready(checkout)
    assert path.read_text() == RECORD
    assert (checkout / ".work/dvc.lock.damaged").read_text() == RECORD[:kept]


def test_record_that_was_never_committed_is_made_anew_and_nothing_runs_again(checkout):
    repro(checkout, environment())
    path = checkout / "dvc.lock"
    before = path.read_text()
    path.write_text("")
    repro(checkout, environment())
    assert path.read_text() == before
    assert (checkout / "runs.txt").read_text() == "made\n"


def test_conflict_marks_are_an_error(checkout):
    text = f"<<<<<<< HEAD\n{RECORD}=======\n>>>>>>> other\n"
    (checkout / "dvc.lock").write_text(text)
    with pytest.raises(LaunchError, match="conflict marks of git: take one side"):
        make_ready(checkout)
    assert (checkout / "dvc.lock").read_text() == text


def test_record_that_a_live_dvc_may_be_writing_stays(checkout):
    (checkout / "dvc.lock").write_text("")
    with (checkout / ".dvc/tmp/lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_ready(checkout)
    assert (checkout / "dvc.lock").read_text() == ""
    make_ready(checkout)
    assert not (checkout / "dvc.lock").exists()


def test_suite_below_the_root_is_made_ready_too(checkout):
    folder = checkout / "suites/x"
    folder.mkdir(parents=True)
    (folder / "dvc.lock").write_text("schema: '2")
    path = write_claims(checkout, {"a": claim(ended())})
    done = subprocess.run(
        [sys.executable, "-m", "ladd.launch.ready"], cwd=folder, env=os.environ, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert not (folder / "dvc.lock").exists()
    assert json.loads(path.read_text())["write"] == {}
    assert git(checkout, "status", "--porcelain", "--", "suites") == ""


def test_suite_that_is_a_project_is_made_ready_and_the_root_is_left_alone(checkout):
    folder = checkout / "suites/x"
    write_project(checkout, folder)
    (folder / ".dvc/tmp").mkdir()
    claims = [write_claims(each, {"a": claim(ended())}) for each in (checkout, folder)]
    make_ready(folder)
    assert [list(json.loads(path.read_text())["write"]) for path in claims] == [["a"], []]
