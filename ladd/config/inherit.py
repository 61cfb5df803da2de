"""What a params.yaml takes over: from another suite, from the defaults of a block, from another entry of it.

`extends: ../other` at the top names the folder of a suite, or a file of the same form. `defaults: {BLOCK: {...}}`
stands behind every entry of a block. `extends: KEY` within an entry names another entry of its block. What is nearer
wins: maps are merged, lists and single values are replaced, and null takes away what was taken over, as if it had not
been written anywhere. Last come the defaults of the classes. The block `claims` is a file of its own, claims.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ladd.errors import ConfigError, nearest
from ladd.yaml_files import read_yaml

LONGEST_PATH = 200  # characters
EXTENDS, DEFAULTS, PARAMS, CLAIMS = "extends", "defaults", "params.yaml", "claims.yaml"
Values = dict[str, Any]


def read_settings(path: Path) -> Any:
    """The values of a params.yaml, with all that it takes over in place, and nothing left that says so.

    Raises:
        FileNotFoundError: it is not there.
        ConfigError: it is empty, or what it extends is not there, or leads back to it; with the file and the key.
    """
    try:
        values = _whole(path, ())
        if values is None:
            raise ConfigError(f"{path} is empty; write the settings of a suite, or `{EXTENDS}: ../NAME`")
        if not isinstance(values, dict):
            return values  # no suite, which its own check says
        if "claims" in values:
            raise ConfigError(f"{path}: claims: they stand in a file of their own, {CLAIMS}")
        if (claims := path.with_name(CLAIMS)).is_file():
            values["claims"] = read_yaml(claims)
        defaults = _mapping(values.pop(DEFAULTS, None), f"{path}: {DEFAULTS}")
        for block, shared in defaults.items():
            if block in values and values[block] is None:  # taken away, and its defaults with it
                continue
            if not isinstance(values.get(block), dict):
                raise ConfigError(
                    f"{path}: {DEFAULTS}.{block}: there is no block of that name with entries{nearest(block, values)}"
                )
            _mapping(shared, f"{path}: {DEFAULTS}.{block}")
        return _without_null({block: _entries(block, each, defaults, path) for block, each in values.items()})
    except RecursionError:  # the parser goes deeper than what follows
        raise ConfigError(f"{path} is not YAML that can be read: its blocks are nested too deeply") from None


def merge(below: Values, above: Mapping[str, Any]) -> Values:
    """Two maps as one: what is above wins, maps are merged, and null is kept to take away what is below."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def extended_files(path: Path) -> list[Path]:
    """Files that a params.yaml takes over, nearest first, by way of each other."""
    below = _below(path, read_yaml(path))
    return [] if below is None else [below, *extended_files(below)]


def _whole(path: Path, above: tuple[Path, ...]) -> Any:
    values = read_yaml(path)
    if (below := _below(path, values)) is None:
        return values
    place, chain = f"{path}: {EXTENDS}: {values[EXTENDS]!r}", (*above, path.resolve())
    if below.resolve() in chain:
        raise ConfigError(f"{place} leads back to {below}; a suite cannot extend itself")
    try:
        under = _mapping(_whole(below, chain), f"{below}: the file")
    except OSError as error:
        raise ConfigError(f"{place}: {below} cannot be read ({error.strerror})") from None
    return merge(under, _own(values))


def _below(path: Path, values: Any) -> Path | None:
    """The file that is extended."""
    name = values.get(EXTENDS) if isinstance(values, dict) else None
    if name is None:
        return None
    if not isinstance(name, str) or "\0" in name or len(name) > LONGEST_PATH or Path(name).is_absolute():
        shown = repr(name)[:LONGEST_PATH]
        raise ConfigError(f"{path}: {EXTENDS}: {shown} is no path from this folder to that of a suite, or to a file")
    below = path.parent / name
    return below / PARAMS if below.is_dir() else below


def _own(values: Values) -> Values:
    return {name: value for name, value in values.items() if name != EXTENDS}


def _entries(block: str, values: Any, defaults: Values, path: Path) -> Any:
    """The entries of a block, each over what it extends and over the defaults of the block."""
    if not isinstance(values, dict):
        return values

    def entry(key: str, above: tuple[str, ...]) -> Values:
        if (name := values[key].get(EXTENDS)) is None:
            return merge(defaults.get(block, {}), values[key])
        place, chain = f"{path}: {block}.{key}.{EXTENDS}", (*above, key)
        if not isinstance(name, str) or not isinstance(values.get(name), dict):
            known = sorted(str(each) for each in values if isinstance(values[each], dict))  # null takes an entry away
            raise ConfigError(f"{place}: {name!r} is no entry of {block}{nearest(name, known)}; it has {known}")
        if name in chain:
            raise ConfigError(f"{place}: {' -> '.join([*chain, name])} leads back to itself")
        return merge(entry(name, chain), _own(values[key]))

    return {key: _own(entry(key, ())) if isinstance(each, dict) else each for key, each in values.items()}


def _mapping(values: Any, place: str) -> Values:
    if values is not None and not isinstance(values, dict):
        raise ConfigError(f"{place}: there must be names with values")
    return values or {}


def _without_null(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _without_null(value) for name, value in values.items() if value is not None}
    return values
