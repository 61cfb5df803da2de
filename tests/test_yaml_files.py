"""The one reader of YAML: DVC's rules, and errors that name the file and the line."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from dvc.utils.serialize import parse_yaml as parsed_by_dvc

from ladd.config import load_suite
from ladd.errors import ConfigError
from ladd.yaml_files import parse_yaml, read_yaml
from tests.builders import suite_values
from tests.config.checks import write

REPOSITORY = Path(__file__).resolve().parents[1]
SUITES = [REPOSITORY / "params.yaml", *sorted(REPOSITORY.glob("suites/*/params.yaml"))]

# What a scalar is; version 1.1 takes most of them for something else.
SCALARS = {
    "010": 10,
    "0777": 777,
    "-010": -10,
    "0o17": 15,
    "0x1f": 31,
    "1_000": 1000,
    "1:30": "1:30",
    "yes": "yes",
    "no": "no",
    "on": "on",
    "Off": "Off",
    "y": "y",
    "true": True,
    "~": None,
    "3e-4": 3e-4,
    "1e-3": 1e-3,
    "1e3": 1e3,
    "1.0e5": 1e5,
    "3.0e-4": 3e-4,
    ".5": 0.5,
    ".5e3": ".5e3",
    "-.inf": -math.inf,
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_are_what_dvc_reads(text):
    found, expected = parse_yaml(f"key: {text}", "it")["key"], SCALARS[text]
    assert (found, type(found)) == (expected, type(expected))
    by_dvc = parsed_by_dvc(f"key: {text}", "it")["key"]
    assert (found, type(found)) == (by_dvc, type(by_dvc))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.parent.name)
def test_suites_are_what_dvc_reads(path):
    assert read_yaml(path) == parsed_by_dvc(path.read_text(), path)


def test_number_without_a_point_is_a_number_in_a_suite(tmp_path):
    text = write(tmp_path, suite_values()).read_text()
    assert text.count("learning_rate: 0.01") > 1
    text = text.replace("learning_rate: 0.01", "learning_rate: 3e-4").replace("\nseed: 1\n", "\nseed: 010\n")
    suite = load_suite(write(tmp_path, text))
    assert (suite.baselines["mdlm"].training.learning_rate, suite.seed) == (3e-4, 10)


@pytest.mark.parametrize("text", ["seed: 1\ncompute: {}\nseed: 2\n", "compute:\n\n  threads: 1\n  threads: 1\n"])
def test_key_that_stands_twice_is_refused_with_its_line(tmp_path, text):
    path, name = write(tmp_path, text), text.split(":")[0] if text.startswith("seed") else "threads"
    for read in (read_yaml, load_suite):
        with pytest.raises(ConfigError) as caught:
            read(path)
        line = text.rstrip().count("\n") + 1
        assert str(caught.value).startswith(f"{path} is not YAML, line {line}: ")
        assert f'found duplicate key "{name}"' in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: [1\nother: 2", "is not YAML, line 2: "),
        ("a: b: c", "is not YAML, line 1: mapping values are not allowed"),
        ("a: !!python/object:os.system x", "is not YAML, line 1: "),
        ("a: &x [*y]", "is not YAML, line 1: "),
        ("a: -_", "is not YAML that can be read: "),
        ("a: " + 5000 * "1", "is not YAML that can be read: "),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_the_file(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path} {message}")
    assert "\n" not in str(caught.value)


def test_file_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_bytes(b"suite: caf\xe9\n")
    with pytest.raises(ConfigError, match=r"params\.yaml is not YAML: byte 10 is not UTF-8"):
        load_suite(path)


def test_missing_file_stays_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "params.yaml")
