"""Drawings say what their text says, and mark what cannot be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ladd.config import load_suite
from ladd.report import drawings
from ladd.report.drawings import grid, strip
from ladd.tasks import task_of
from ladd.tasks.shidoku.grids import all_grids

REPOSITORY = Path(__file__).resolve().parents[2]
VALID = "1234 3412 2143 4321"


@pytest.mark.parametrize("bits", ["0", "1", "0110", "1" * 64, "10" * 32, "0011100101"])
def test_strip_is_black_where_there_is_a_one(bits):
    black = ["0"] * len(bits)
    for start, length in re.findall(r"M(\d+) 0h(\d+)v1h-\2z", strip(bits).svg):
        black[int(start) : int(start) + int(length)] = ["1"] * int(length)
    assert "".join(black) == bits


def clashes(text: str) -> set[int]:
    size = drawings.CELL
    return {
        int(y) // size * 4 + int(x) // size for x, y in re.findall(r'class="clash" d="M(\d+) (\d+)h', grid(text).svg)
    }


def test_a_grid_shows_its_digits_and_its_clashes():
    assert re.findall(r">(\d{4})</text>", grid(VALID).svg) == VALID.split()
    assert (grid(VALID).good, grid(VALID).note, clashes(VALID)) == (True, "valid", set())
    wrong = "2" + VALID[1:]  # against the second cell of row and quarter, and the third of the column
    assert clashes(wrong) == {0, 1, 8}
    assert (grid(wrong).good, grid(wrong).note) == (False, "3 cells clash")
    assert not grid("1234 34").good


def test_grids_are_good_where_they_are_those_of_the_data():
    of_data = {"".join(str(cell + 1) for cell in row) for row in all_grids().tolist()}
    assert len(of_data) == 288
    assert all(grid(text).good for text in of_data)
    for text in sorted(of_data)[::40]:
        others = {text[:5] + digit + text[6:] for digit in "1234"} - {text}
        assert not any(grid(other).good for other in others)


@pytest.mark.parametrize(("folder", "look"), [(".", "strips"), ("suites/shidoku", "cells")])
def test_tasks_with_a_drawing(folder, look, monkeypatch):
    monkeypatch.chdir(REPOSITORY / folder)
    suite = load_suite()
    task = task_of(suite, next(iter(suite.data)))
    texts = drawings.real(task) or [VALID]
    pictures, found, says = drawings.drawn(task, texts)
    assert found == look
    assert says
    assert all(picture.good and "<svg" in picture.svg for picture in pictures)
    assert all(len(text) == 64 for text in texts if look == "strips")


def test_a_task_without_one_shows_text(monkeypatch):
    monkeypatch.chdir(REPOSITORY / "suites/text-demo")
    suite = load_suite()
    task = task_of(suite, next(iter(suite.data)))
    assert drawings.drawn(task, ["some text"]) == ([], "", "")
    assert drawings.real(task) == []
