"""Results in README.md and in docs/ are those in results/, word for word: `make pages` writes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ladd.report.markdown import PART, refreshed

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()
PAGES = [
    path for path in (REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/*.md"))) if PART.search(path.read_text())
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_and_sentences_are_those_of_the_results(page):
    assert refreshed(page.read_text(), REPOSITORY) == page.read_text(), "run `make pages`"


def test_no_measured_number_stands_anywhere_else():
    assert len(PART.findall(README)) >= 4
    assert re.findall(r"^.*\d ± \d.*$", PART.sub("", README), re.MULTILINE) == []
