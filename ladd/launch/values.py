"""The values of a params.yaml as plain dictionaries and lists, of which no two are the same object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ladd.config import load_suite
from ladd.config.differences import changes
from ladd.errors import ConfigError
from ladd.yaml_files import parse_yaml, read_yaml

Values = dict[str, Any]  # of params.yaml, or of a block of it


def read_values(path: Path) -> Values:
    """The values of a valid params.yaml, its anchors written out.

    Raises:
        ConfigError: the file is not there or not valid.
    """
    load_suite(path)
    return unshared(read_yaml(path))


def unshared(values: Values) -> Values:
    """A copy in which a change at one place changes no other: YAML makes one object of all that name an anchor."""
    return json.loads(json.dumps(values))


def write_values(values: Values) -> str:
    """YAML, a line for each innermost block; versions 1.1 and 1.2 read the same from it."""
    return yaml.dump(
        unshared(values), Dumper=_Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True
    )


class _Dumper(yaml.SafeDumper):
    """Also puts text in quotes that version 1.2 takes for something else, such as 1e3: PyYAML knows 1.1 alone."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else "'")


def _is_plain(text: str) -> bool:
    try:
        return parse_yaml(text, "text") == text
    except ConfigError:
        return False


_Dumper.add_representer(str, _represent_text)


def difference(old: Values, new: Values) -> list[str]:
    """What a change of values comes to, as lines `key: old -> new`."""
    return [f"{key}: {before} -> {after}" for key, before, after in changes(old, new)]
