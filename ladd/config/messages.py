"""What is said of values: of those that are not valid, a line for each, and of two states, what they differ in."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ladd.errors import ConfigError, nearest

Checked = TypeVar("Checked", bound=BaseModel)

SHOWN = 200  # characters of a value
MESSAGE = 1000  # characters of a line
LINES = 50

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict, _short.maxtuple = 3, 12, 12, 12
_short.maxstring = _short.maxother = _short.maxlong = SHOWN


def checked(kind: type[Checked], values: Any, name: object) -> Checked:
    """Values, as YAML gives them, as an object of a class.

    Args:
        name: of what holds them, for the message.
    Raises:
        ConfigError: naming the key, the value and what is allowed, in the lines after the first.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        items = error.errors()
        lines = [f"  {cut(_line(item, values))}" for item in items[:LINES]]
        lines += [f"  ... and {len(items) - LINES} more"] * (len(items) > LINES)
        raise ConfigError("\n".join([f"{name} is not valid:", *lines])) from None


def shown(value: object) -> str:
    """A value as Python writes it, its middle left out where it is long or deep."""
    try:
        return cut(_short.repr(value), SHOWN)
    except ValueError:
        return "an integer of thousands of digits"  # which Python does not write


def cut(text: str, most: int = MESSAGE) -> str:
    """A text with its middle left out where it is longer than so many characters."""
    half = (most - 5) // 2
    return text if len(text) <= most else f"{text[:half]} ... {text[-half:]}"


def _line(item: Any, values: Any) -> str:
    # A part of the key that is no plain text is shown as the value that it is.
    parts = (part if isinstance(part, str) and part.isprintable() else shown(part) for part in item["loc"])
    key, message = ".".join(cut(part, SHOWN) for part in parts), item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = (
            f"unknown key{nearest(item['loc'][-1], _fields(item['loc'][:-1], values))}; remove it or correct its name"
        )
    elif item["type"] not in ("value_error", "missing"):
        message = f"{shown(item['input'])}: {message}"
    return f"{key}: {message}" if key else message


def _fields(place: Sequence[Any], values: Any) -> list[str]:
    """Keys that a block takes: those of the class that most of the keys that stand there are of."""
    from ladd.config.blocks import Block  # it needs this module

    for part in place:
        if isinstance(values, dict) and part in values:
            values = values[part]
    there = values.keys() if isinstance(values, dict) else set()
    found, classes = list[str](), [Block]
    while classes:
        kind = classes.pop()
        classes += kind.__subclasses__()
        fields = list(kind.model_fields)
        if len(there & set(fields)) > len(there & set(found)):
            found = fields
    return found


def changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str, str]]:
    """Innermost keys that differ, after a prefix, each with the old and the new value as people read them."""
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        key, before, after = f"{prefix}{name}", old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += changes(before, after, f"{key}.")
        elif name not in old or name not in new or before != after:
            found.append((key, _written(old, name), _written(new, name)))
    return found


def _written(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False, default=str) if name in values else "(not there)"
