"""What is said of values that are not valid: a line for each, with its key, what it is and what is allowed."""

from __future__ import annotations

import reprlib
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from ladd.errors import ConfigError

Checked = TypeVar("Checked", bound=BaseModel)

SHOWN = 200  # characters of a value
MESSAGE = 1000  # characters of a line
LINES = 50

_short = reprlib.Repr()
_short.maxlevel, _short.maxlist, _short.maxdict, _short.maxtuple = 3, 12, 12, 12
_short.maxstring = _short.maxother = _short.maxlong = SHOWN


def checked(kind: type[Checked], values: Any, name: object) -> Checked:
    """Values as an object of a class.

    Args:
        kind: the class.
        values: as YAML gives them.
        name: of what holds them, for the message.
    Raises:
        ConfigError: naming the key, the value and what is allowed, in the lines after the first.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_describe(error, name)) from None


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


def _describe(error: ValidationError, name: object) -> str:
    items = error.errors()
    lines = [f"  {cut(_line(item))}" for item in items[:LINES]]
    if more := len(items) - len(lines):
        lines.append(f"  ... and {more} more")
    return f"{name} is not valid:\n" + "\n".join(lines)


def _part(part: object) -> str:
    """A part of a dotted key; what is not plain text is shown as the value that it is."""
    return cut(part, SHOWN) if isinstance(part, str) and part.isprintable() else shown(part)


def _line(item: Any) -> str:
    key = ".".join(map(_part, item["loc"]))
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "unknown key; remove it or correct its name"
    elif item["type"] not in ("value_error", "missing"):
        message = f"{shown(item['input'])}: {message}"
    return f"{key}: {message}" if key else message
