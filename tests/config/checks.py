"""Suites to read, and what a refusal must say."""

import copy
from pathlib import Path

import pytest
import yaml

from ladd.config import load_suite
from ladd.errors import ConfigError
from tests.builders import suite_values


def write(folder: Path, values: object) -> Path:
    path = folder / "params.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def changed(key: str, value: object, values: dict | None = None) -> dict:
    """A valid suite, the sawtooth if none is given, with one entry changed, or removed where the value is `...`."""
    values = copy.deepcopy(values or suite_values())
    *parents, last = key.split(".")
    place = values
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return values


def check_message(path: Path, fragments: list[str]) -> None:
    """Reading the suite fails with a message that holds all fragments."""
    with pytest.raises(ConfigError) as caught:
        load_suite(path)
    message = str(caught.value)
    assert str(path) in message
    for fragment in fragments:
        assert fragment in message
    assert "errors.pydantic.dev" not in message
