"""Plain values: read, written, and compared."""

from __future__ import annotations

import pytest
import yaml

from ladd.launch.overrides import difference, read_values
from ladd.yaml_files import parse_yaml, write_yaml
from tests.stages.tiny import REPOSITORY


def test_values_of_an_anchor_are_no_longer_one():
    values = read_values(REPOSITORY / "params.yaml")
    values["models"]["di-ladd"]["training"]["steps"] = 1
    assert values["models"]["co-ladd"]["training"]["steps"] > 1
    assert "&" not in write_yaml(values)
    assert parse_yaml(write_yaml(values), "text") == yaml.safe_load(write_yaml(values)) == values


@pytest.mark.parametrize(
    "value",
    [
        *(
            "1e3",
            "3e-4",
            "0o17",
            "010",
            "1_0",
            "0b1",
            ".5e3",
            "1:30",
            "yes",
            "no",
            "on",
            "~",
            "",
            "null",
            "a: b",
            "- a",
        ),
        *(
            "#1",
            "é",
            "two\nlines",
            "it's",
            "2026-01-02",
            "=",
            "<<",
            1e-5,
            1e16,
            3e-4,
            10,
            -0.5,
            True,
            None,
            [1.0, "1e3"],
        ),
    ],
)
def test_text_and_numbers_are_read_as_what_they_were_by_either_version(value):
    for values in ({"key": value}, {str(value): 1}):
        text = write_yaml(values)
        assert parse_yaml(text, "text") == yaml.safe_load(text) == values
        assert type(parse_yaml(text, "text").get("key", value)) is type(value)


def test_anchors_are_not_written_for_shared_values():
    shared = {"a": [1, 2]}
    assert write_yaml({"x": shared, "y": shared}) == "x:\n  a: [1, 2]\ny:\n  a: [1, 2]\n"


def test_difference_has_a_line_for_every_value_that_differs():
    old = {"a": {"b": 1, "c": [1, 2], "gone": "x"}, "same": {"d": None}, "whole": None}
    new = {"a": {"b": 1.5, "c": [1], "new": True}, "same": {"d": None}, "whole": {"e": "é"}}
    assert difference(old, new) == [
        "a.b: 1 -> 1.5",
        "a.c: [1, 2] -> [1]",
        'a.gone: "x" -> (not there)',
        "a.new: (not there) -> true",
        'whole: null -> {"e": "é"}',
    ]
    assert difference(old, old) == []
