"""A stage that is killed at any change of its files or of the tracking database gives the same when it is run again.

LADD_KILL_POINTS (default 84) says at how many points, over all stages; `-rP` shows at how many of how many changes.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.kills.changes import changed_path
from tests.kills.server import Server
from tests.kills.suites import SUITES, Suite, differences, observe

TARGETS = [
    *(("sawtooth", stage) for stage in ("data@sawtooth", "stage1@di", "baseline@mdlm", "stage2@di-ladd")),
    *(
        ("sawtooth", stage)
        for stage in ("sample@di-seq", "bound@di-ladd", "measure@di-seq", "reference@sawtooth", "compare")
    ),
    *(("text", stage) for stage in ("data@text", "encode@bert", "codebook@codes", "prior@chunks", "stage2@di")),
]
POINTS = -(-int(os.environ.get("LADD_KILL_POINTS", "84")) // len(TARGETS))  # of a stage


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[Callable[[str], Suite]]:
    """Suites that have run, by name."""
    server, made = Server(), {}

    def suite(name: str) -> Suite:
        if name not in made:
            made[name] = SUITES[name](server, tmp_path_factory.mktemp(name))
        return made[name]

    yield suite
    server.close()


def spread(count: int, wanted: int) -> list[int]:
    """Numbers of changes, from 1: the first, the last, and some between."""
    return sorted({1 + round((count - 1) * (i / (wanted - 1) if wanted > 1 else 0.5)) for i in range(wanted)})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "stage"), TARGETS)
def test_stage_that_was_killed_gives_the_same(finished, name, stage):
    suite = finished(name)
    changes = suite.outcomes[stage].changes
    numbers, start = spread(len(changes), POINTS), time.monotonic()
    problems = [line for number in numbers for line in trial(suite, stage, number)]
    print(f"{stage}: killed at {len(numbers)} of {len(changes)} changes in {time.monotonic() - start:.0f} s")
    assert problems == []


def trial(suite: Suite, stage: str, number: int) -> list[str]:
    """Kill a stage before a change and run it again, every other time without its outputs, as DVC does."""
    suite.restore(stage)
    killed = suite.run(stage, number)
    if number % 2:
        suite.remove_outputs(stage)
    again = suite.run(stage)
    problems = [] if killed.code == -signal.SIGKILL else [f"was not killed, and ended with {killed.code}"]
    problems += [] if again.code == 0 else [f"ended with {again.code}: {again.output[-1000:]}"]
    problems += differences(suite.after[stage], observe(suite.repository, suite.folder))
    return [f"{stage} at change {number}, {killed.changes[-1]}: {problem}" for problem in problems]


@pytest.mark.slow
def test_what_a_kill_did_would_be_seen(finished):
    """Without the second run there is a difference; and the undisturbed run is the same twice."""
    suite, stage = finished("sawtooth"), "stage1@di"
    suite.restore(stage)
    changes = suite.outcomes[stage].changes
    assert suite.run(stage, len(changes) // 2).code == -signal.SIGKILL
    assert differences(suite.after[stage], observe(suite.repository, suite.folder))
    suite.restore(stage)
    assert suite.run(stage).changes != []
    assert differences(suite.after[stage], observe(suite.repository, suite.folder)) == []


@pytest.mark.parametrize(
    ("call", "arguments", "path"),
    [
        ("open", ("/a/b", "w", os.O_WRONLY | os.O_CREAT), "/a/b"),
        ("open", (b"/a/b", None, os.O_RDWR), "/a/b"),
        ("open", ("/a/b", "r", os.O_RDONLY), None),
        ("open", (3, "w", os.O_WRONLY), None),
        ("os.rename", ("/a/b", "/a/c", -1, -1), "/a/b"),
        ("os.listdir", ("/a",), None),
    ],
)
def test_changes_are_told_from_other_calls(call, arguments, path):
    assert changed_path(call, arguments) == path


@pytest.mark.parametrize(("count", "wanted", "numbers"), [(9, 3, [1, 5, 9]), (2, 7, [1, 2]), (9, 1, [5])])
def test_points_are_spread_over_all_changes(count, wanted, numbers):
    assert spread(count, wanted) == numbers
