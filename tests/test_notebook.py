"""The notebook of docs/ runs from top to bottom on the models of a small suite, and its cells are short."""

from __future__ import annotations

import json
import re

from infra import notebook as runner
from tests.generation.conftest import sawtooth, suite  # noqa: F401

FOLDER = '"../../.work/try"'  # where `make try` leaves its models, from the notebook
LINES = 10  # of code, and of what it prints


CELLS = runner.code_cells(json.loads(runner.NOTEBOOK.read_text()))


def form(text: str) -> str:
    """A text without its numbers, which are others for each training."""
    return re.sub(r"[-\d.]+(, [-\d.]+)*", "#", text)


def test_cells_run_and_print_a_few_lines_and_what_is_kept(suite):  # noqa: F811
    sources = [runner.source(cell) for cell in CELLS]
    assert sources[0].count(FOLDER) == 1
    printed = list(runner.run([text.replace(FOLDER, '"."') for text in sources]))
    assert all(0 < len(each.splitlines()) <= LINES for each in printed), printed
    kept = [runner.stored(cell) for cell in CELLS]  # all, or none of a notebook that has not been run yet
    assert [form(each) for each in printed] == [form(each) for each in kept] or not any(kept)


def test_cells_are_short():
    assert max(len(runner.source(cell).strip().splitlines()) for cell in CELLS) <= LINES
