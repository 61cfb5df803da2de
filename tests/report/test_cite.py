"""BibTeX of what a suite uses."""

import re
from pathlib import Path

from ladd.cli import main
from ladd.registry import discover
from ladd.report.cite import bibliography, citation
from ladd.samplers.base import Sampler
from ladd.systems.base import systems

SUITES = Path(__file__).resolve().parents[2] / "suites"


def test_every_system_of_a_suite_is_cited_once_or_named_as_one_without():
    text = bibliography(SUITES / "rivals-shidoku")
    keys = re.findall(r"^@\w+\{(\w+),", text, flags=re.MULTILINE)
    assert len(keys) == len(set(keys)) >= 4
    assert "2510.01329" in text  # CADD
    named = re.findall(r"^% without an entry: (.*)$", text, flags=re.MULTILINE)
    for name in named[0].split(", ") if named else []:
        assert not citation(systems()[name])


def test_what_is_not_used_is_not_cited(capsys):
    assert main(["cite", str(SUITES / "shidoku")]) == 0
    assert "2510.01329" not in capsys.readouterr().out


def test_samplers_of_sweeps_are_cited_with_those_of_their_tokens():
    text = bibliography(SUITES / "molecules-samplers")
    for paper in ("2409.02908", "2503.00307", "2205.14987", "2505.24857", "2502.03540", "2407.21243"):
        assert text.count(paper) == 1


def test_braces_of_all_entries_are_closed():
    for each in (*systems().values(), *discover("ladd.samplers", Sampler).values()):
        text = citation(each)
        assert text.count("{") == text.count("}")
        assert text.count("@") == len(re.findall(r"^@\w+\{\w+,$", text, flags=re.MULTILINE))


def test_what_is_derived_from_a_system_has_its_entry_or_its_own():
    class Base:
        citation = "\n@misc{base}\n"

    class Heir(Base):
        pass

    class Other(Base):
        citation = "@misc{other}"

    assert [citation(each) for each in (Base, Heir, Other, object)] == [
        *("@misc{base}", "@misc{base}", "@misc{other}"),
        "",
    ]
