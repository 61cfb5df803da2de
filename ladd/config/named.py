"""Blocks of params.yaml whose class is that of what is registered under a name that they hold."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from ladd.config.blocks import Block
from ladd.registry import discover


def named(axis: str, field: str, attribute: str = "Settings") -> Callable[[Any, Any], Any]:
    """A validator that makes a block an object of the class it belongs to.

    Args:
        axis: name of the base class, such as "System" for ladd.systems.
        field: that holds the name.
        attribute: of what is registered under it, a class of blocks.
    """
    package = f"ladd.{axis.lower()}s"

    def validate(values: Any, _: Any) -> Any:
        if isinstance(values, Block):
            return values
        base = getattr(import_module(f"{package}.base"), axis)  # it is above settings
        return getattr(_by_name(discover(package, base), field, values), attribute).model_validate(values)

    return validate


def _by_name(registered: dict[str, Any], field: str, values: Any) -> Any:
    """What is registered under the name that a block has in a field.

    Raises:
        ValidationError: it has none, or nothing is registered under it.
    """
    name = values.get(field) if isinstance(values, dict) else None
    if isinstance(name, str) and name in registered:
        return registered[name]
    if isinstance(values, dict) and field in values:
        wrong: Any = PydanticCustomError("not_registered", f"Input should be one of {sorted(registered)}")
    else:
        wrong = "missing" if isinstance(values, dict) else "dict_type"
    place = (field,) if isinstance(values, dict) else ()
    raise ValidationError.from_exception_data(field, [InitErrorDetails(type=wrong, loc=place, input=name)])
