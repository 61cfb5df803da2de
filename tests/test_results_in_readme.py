"""Results in README.md are those in results/, word for word: `make pages` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from ladd.report.markdown import PART, refreshed

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text()


def test_tables_and_sentences_are_those_of_the_results():
    assert refreshed(README, REPOSITORY) == README, "run `make pages`"


def test_no_measured_number_stands_anywhere_else():
    assert len(PART.findall(README)) >= 4
    assert re.findall(r"^.*\d ± \d.*$", PART.sub("", README), re.MULTILINE) == []
