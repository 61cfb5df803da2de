"""Progress bars."""

from __future__ import annotations

import os
import subprocess
import sys

from ladd.progress import bar, counted


def test_bar_counts_what_passes_and_is_on_standard_error(capsys):
    assert list(counted(range(3), "work", "piece")) == [0, 1, 2]
    assert list(counted(iter("ab"), "stream", "piece", total=2)) == ["a", "b"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "work: 100%" in shown.err
    assert "3/3" in shown.err
    assert "stream: 100%" in shown.err


def test_hidden_bar_shows_nothing(capsys):
    with bar("work", 3, "piece", hidden=True) as progress:
        progress.update()
    assert capsys.readouterr() == ("", "")


def test_bar_inside_of_another_shows_nothing(capsys):
    for _ in counted(range(2), "outer", "piece"):
        list(counted(range(2), "inner", "piece"))
    list(counted(range(2), "after", "piece"))
    shown = capsys.readouterr().err
    assert "outer: 100%" in shown
    assert "after: 100%" in shown
    assert "inner" not in shown


def test_reader_that_is_gone_does_not_end_the_work():
    """As after `ladd launch` was interrupted, or in a terminal that was closed."""
    code = "from ladd.progress import *\nfor i in counted(range(3), 'work', 'piece'): pass\n"
    code += "print('more', file=STANDARD_ERROR)\nraise SystemExit(75)"
    reading, writing = os.pipe()
    os.close(reading)
    try:
        process = subprocess.run([sys.executable, "-c", code], stderr=writing)
    finally:
        os.close(writing)
    assert process.returncode == 75
