"""Processes that a test run left behind, found by a mark in their environment, their folder or their parents."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

MARK = "LADD_TEST_RUN"  # inherited by whatever a test starts
GRACE = 10.0  # seconds that processes have to end by themselves, as servers do that were asked to
# They end with the process that started them, and not before.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


class Leftover(NamedTuple):
    """A process that still lives, and the test that it was started in."""

    process: psutil.Process
    command: str
    test: str

    def __str__(self) -> str:
        return f"process {self.process.pid}, of {self.test}: {self.command}"


def leftovers(mark: str, folder: Path) -> list[Leftover]:
    """Living processes other than this one that carry the mark, work in the folder, or descend from this one.

    Programs that write their title over their environment, as Ray's and PostgreSQL's do, carry no mark.
    """
    me = psutil.Process()
    mine, above = {child.pid for child in me.children(recursive=True)}, {me.pid, *(p.pid for p in me.parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it ended meanwhile, or is not ours to look at
            environment = process.environ() if process.uids().real == os.getuid() else {}
            marked = environment.get(MARK) == mark
            if process.pid in above or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if marked or process.pid in mine or Path(process.cwd()).is_relative_to(folder):
                command = " ".join(process.cmdline()) or process.name()
                if not any(helper in command for helper in HELPERS):
                    found.append(Leftover(process, command, environment.get("PYTEST_CURRENT_TEST", "an unknown test")))
    return found


def end(mark: str, folder: Path, grace: float) -> list[Leftover]:
    """Kill what is left after a time of grace, and say what that was."""
    deadline = time.monotonic() + grace
    while (found := leftovers(mark, folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    for leftover in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            leftover.process.kill()
    return found


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running(tmp_path_factory) -> Iterator[None]:
    """The run fails if a process that a test started outlives the last test."""
    os.environ[MARK] = mark = secrets.token_hex(8)
    yield
    if found := end(mark, tmp_path_factory.getbasetemp(), GRACE):
        pytest.fail("still running after the last test, and killed now:\n" + "\n".join(map(str, found)), pytrace=False)
