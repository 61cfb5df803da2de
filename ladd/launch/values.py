"""The values of a params.yaml as plain dictionaries and lists, of which no two are the same object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ladd.config import load_suite
from ladd.config.messages import changes

Values = dict[str, Any]  # of params.yaml, or of a block of it


def read_values(path: Path) -> Values:
    """All settings of a valid params.yaml, with what it takes over and with all defaults.

    Raises:
        ConfigError: the file is not there or not valid.
    """
    return load_suite(path).model_dump(mode="json")


def unshared(values: Values) -> Values:
    """A copy in which a change at one place changes no other: YAML makes one object of all that name an anchor."""
    return json.loads(json.dumps(values))


def difference(old: Values, new: Values) -> list[str]:
    """What a change of values comes to, as lines `key: old -> new`."""
    return [f"{key}: {before} -> {after}" for key, before, after in changes(old, new)]
