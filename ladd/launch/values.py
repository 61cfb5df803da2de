"""The values of a params.yaml as plain dictionaries and lists, of which no two are the same object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from ladd.config import load_suite

Values = dict[str, Any]  # of params.yaml, or of a block of it


def read_values(path: Path) -> Values:
    """The values of a valid params.yaml, its anchors written out.

    Raises:
        ConfigError: the file is not there or not valid.
    """
    load_suite(path)
    return unshared(yaml.safe_load(path.read_text()))


def unshared(values: Values) -> Values:
    """A copy in which a change at one place changes no other: YAML makes one object of all that name an anchor."""
    return json.loads(json.dumps(values))


def write_values(values: Values) -> str:
    """YAML, a line for each innermost block."""
    return yaml.safe_dump(unshared(values), sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


def difference(old: Values, new: Values) -> list[str]:
    """What a change of values comes to, as lines `key: old -> new`."""
    return [f"{key}: {before} -> {after}" for key, before, after in changes(old, new)]


def changes(old: Values, new: Values, prefix: str = "") -> list[tuple[str, str, str]]:
    """Innermost keys that differ, after a prefix, each with the old and the new value as people read them."""
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        key, before, after = f"{prefix}{name}", old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += changes(before, after, f"{key}.")
        elif name not in old or name not in new or before != after:
            found.append((key, _show(old, name), _show(new, name)))
    return found


def _show(values: Values, name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False) if name in values else "(not there)"
