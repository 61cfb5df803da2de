"""Work in a thread: nobody waits for it but who asks to, and it is tried until it succeeds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from ladd.tracking.writer import Background

LONG = 60.0  # seconds that no test takes
NEVER = (3600.0,)  # pauses between tries that nobody hurries


@pytest.fixture
def begin() -> Iterator[Callable[..., Background]]:
    """Starts threads that end with the test."""
    started = []

    def start(work: Callable[[], bool], report=lambda error: None, pauses=(0.0,)) -> Background:
        started.append(Background(work, report, pauses))
        return started[-1]

    yield start
    for background in started:
        background.end()


class Failing:
    """Work that fails a number of times, and is done then."""

    def __init__(self, times: int):
        self.times, self.tries, self.done = times, 0, threading.Event()

    def __call__(self) -> bool:
        self.tries += 1
        if self.tries <= self.times:
            raise ConnectionError(f"try {self.tries}")
        self.done.set()
        return False


def test_failed_work_is_tried_again_without_being_asked(begin):
    work = Failing(3)
    begin(work).ask()
    assert work.done.wait(LONG)
    assert work.tries == 4


def test_nobody_who_asks_waits_for_work_that_hangs(begin):
    entered, release = threading.Event(), threading.Event()

    def hang() -> bool:
        entered.set()
        release.wait(LONG)
        return False

    background = begin(hang)
    background.ask()
    assert entered.wait(LONG)
    background.ask()
    assert isinstance(background.wait(0.01), TimeoutError)
    release.set()
    assert background.wait(LONG) is None


def test_who_waits_does_not_wait_for_the_pause_and_gets_the_error(begin):
    work = Failing(2)
    background = begin(work, pauses=NEVER)
    assert str(background.wait(LONG)) == "try 1"
    assert str(background.wait(LONG)) == "try 2"
    assert background.wait(LONG) is None


def test_who_waits_gets_the_outcome_of_a_try_that_began_later(begin):
    entered, release, tries = threading.Event(), threading.Event(), []

    def work() -> bool:
        tries.append(len(tries))
        if len(tries) == 1:
            entered.set()
            release.wait(LONG)
            raise ConnectionError("of the try before")
        return False

    background = begin(work, pauses=NEVER)
    background.ask()
    assert entered.wait(LONG)
    threading.Timer(0.05, release.set).start()
    assert background.wait(LONG) is None
    assert len(tries) == 2


def test_all_pieces_are_done_in_one_try(begin):
    pieces = list(range(5))
    done = []

    def work() -> bool:
        if pieces:
            done.append(pieces.pop(0))
        return bool(pieces)

    assert begin(work).wait(LONG) is None
    assert done == [0, 1, 2, 3, 4]


def test_failures_are_reported_once_and_so_is_their_end(begin):
    reported = []
    background = begin(Failing(3), reported.append, NEVER)
    for _ in range(5):
        background.wait(LONG)
    assert [None if error is None else str(error) for error in reported] == ["try 1", None]


def test_nothing_is_tried_after_the_end(begin):
    work = Failing(100)
    background = begin(work, pauses=NEVER)
    background.wait(LONG)
    background.end()
    background._thread.join(LONG)
    assert not background._thread.is_alive()
    assert work.tries == 1
