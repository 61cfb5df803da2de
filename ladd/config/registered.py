"""Blocks of params.yaml whose class is that of a registered task, chosen by their `kind`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import TypeAdapter, ValidationError, WrapValidator
from pydantic_core import InitErrorDetails

from ladd.config.blocks import Block, Key
from ladd.registry import discover

if TYPE_CHECKING:
    from ladd.tasks import Task


def tasks() -> dict[str, type[Task]]:
    """The registered tasks by name. They are looked up when they are needed: tasks stand above the settings."""
    return discover("ladd.tasks", import_module("ladd.tasks").Task)


def data_block(value: Any, handler: Any) -> Any:
    """A block of `data`, of the class of its task."""
    return _block("Settings", value)


def evaluation_block(value: Any, handler: Any) -> Any:
    """The block `evaluation`, of the class of its task, or such a block for every data set."""
    if isinstance(value, dict) and value and "kind" not in value and all(isinstance(v, dict) for v in value.values()):
        return _EACH.validate_python(value)
    return _block("Evaluation", value)


_EACH = TypeAdapter(dict[Key, Annotated[Any, WrapValidator(lambda value, _: _block("Evaluation", value))]])


def _block(attribute: str, value: Any) -> Any:
    """Values as an object of the class that the task of their `kind` has under this attribute."""
    if isinstance(value, Block):
        return value
    if not isinstance(value, dict):
        raise _refused("dict_type", value)
    if "kind" not in value:
        raise _refused("missing", value, "kind")
    known, kind = tasks(), value["kind"]
    if not isinstance(kind, str) or kind not in known:
        raise _refused("literal_error", kind, "kind", expected=", ".join(map(repr, sorted(known))))
    return getattr(known[kind], attribute).model_validate(value)


def _refused(kind: str, value: Any, *place: str, **context: str) -> ValidationError:
    details = InitErrorDetails(type=kind, loc=place, input=value, ctx=context)
    return ValidationError.from_exception_data("params.yaml", [details])
