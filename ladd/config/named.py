"""Blocks whose class is registered under a name that they hold."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from ladd.registry import discover


def by_name(package: str, base: type, field: str, values: Any) -> Any:
    """What is registered under the name that a block has in a field.

    Raises:
        ValidationError: it has none, or nothing is registered under it.
    """
    name = values.get(field) if isinstance(values, dict) else None
    registered = discover(package, base)
    if isinstance(name, str) and name in registered:
        return registered[name]
    if isinstance(values, dict) and field in values:
        wrong: Any = PydanticCustomError("not_registered", f"Input should be one of {sorted(registered)}")
    else:
        wrong = "missing" if isinstance(values, dict) else "dict_type"
    place = (field,) if isinstance(values, dict) else ()
    raise ValidationError.from_exception_data(field, [InitErrorDetails(type=wrong, loc=place, input=name)])
