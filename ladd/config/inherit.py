"""What a params.yaml takes over: from another suite, from the defaults of a block, from another entry of it.

`extends: ../other` at the top names the folder of a suite, or a file of the same form. `defaults: {BLOCK: {...}}`
stands behind every entry of a block. `extends: KEY` within an entry names another entry of its block. What is nearer
wins: maps are merged, lists and single values are replaced, and null takes away what was taken over, as if it had not
been written anywhere. Last come the defaults of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ladd.errors import ConfigError
from ladd.yaml_files import read_yaml

EXTENDS, DEFAULTS, PARAMS = "extends", "defaults", "params.yaml"
Values = dict[str, Any]


def read_settings(path: Path) -> Any:
    """The values of a params.yaml, with all that it takes over in place, and nothing left that says so.

    Raises:
        FileNotFoundError: it is not there.
        ConfigError: what it extends is not there, or leads back to it; with the file and the key.
    """
    try:
        return _read(path)
    except RecursionError:  # the parser goes deeper than what follows
        raise ConfigError(f"{path} is not YAML that can be read: its blocks are nested too deeply") from None


def _read(path: Path) -> Any:
    values = _whole(path, ())
    if not isinstance(values, dict):
        return values  # no suite, which its own check says
    defaults = _mapping(values.pop(DEFAULTS, None), path, DEFAULTS)
    for block, shared in defaults.items():
        if not isinstance(values.get(block), dict):
            raise ConfigError(f"{path}: {DEFAULTS}.{block}: there is no block of that name with entries")
        _mapping(shared, path, f"{DEFAULTS}.{block}")
    whole = {block: _entries(block, each, defaults, path) for block, each in values.items()}
    return _without_null(whole)


def merge(below: Values, above: Mapping[str, Any]) -> Values:
    """Two maps as one: what is above wins, maps are merged, and null is kept to take away what is below."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def extended_files(path: Path) -> list[Path]:
    """Files that a params.yaml takes over, nearest first, by way of each other."""
    values = read_yaml(path)
    below = _below(path, values) if isinstance(values, dict) else None
    return [] if below is None else [below, *extended_files(below)]


def _whole(path: Path, above: tuple[Path, ...]) -> Any:
    values = read_yaml(path)
    below = _below(path, values) if isinstance(values, dict) else None
    if below is None:
        return values
    place = f"{path}: {EXTENDS}: {values[EXTENDS]!r}"
    chain = (*above, path.resolve())
    if below.resolve() in chain:
        raise ConfigError(f"{place} leads back to {below}; a suite cannot extend itself")
    try:
        under = _whole(below, chain)
    except OSError as error:
        raise ConfigError(f"{place}: {below} cannot be read ({error.strerror})") from None
    own = {name: value for name, value in values.items() if name != EXTENDS}
    return merge(_mapping(under, below, "the file"), own)


def _below(path: Path, values: Values) -> Path | None:
    """The file that is extended."""
    name = values.get(EXTENDS)
    if name is None:
        return None
    if not isinstance(name, str) or Path(name).is_absolute():
        raise ConfigError(f"{path}: {EXTENDS}: {name!r} is no path from this folder to that of a suite, or to a file")
    below = path.parent / name
    return below / PARAMS if below.is_dir() else below


def _entries(block: str, values: Any, defaults: Values, path: Path) -> Any:
    """The entries of a block, each over what it extends and over the defaults of the block."""
    if not isinstance(values, dict):
        return values
    found: Values = {}
    for key, entry in values.items():
        if not isinstance(entry, dict):
            found[key] = entry
            continue
        chain = [key]
        while (name := values[chain[-1]].get(EXTENDS)) is not None:
            place = f"{path}: {block}.{chain[-1]}.{EXTENDS}"
            if not isinstance(name, str) or not isinstance(values.get(name), dict):
                raise ConfigError(f"{place}: {name!r} is no entry of {block}; it has {sorted(map(str, values))}")
            if name in chain:
                raise ConfigError(f"{place}: {' -> '.join([*chain, name])} leads back to itself")
            chain.append(name)
        merged: Values = defaults.get(block, {})
        for each in reversed(chain):
            merged = merge(merged, values[each])
        found[key] = {name: value for name, value in merged.items() if name != EXTENDS}
    return found


def _mapping(values: Any, path: Path, place: str) -> Values:
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: {place}: there must be names with values")
    return values


def _without_null(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _without_null(value) for name, value in values.items() if value is not None}
    return values
