"""A grid as the command that asks for it."""

from __future__ import annotations

import json
import shlex
from typing import Any

from ladd.launch.grid import Grid


def flag(field: str) -> str:
    """The option of `ladd ablate` for a field of a grid."""
    return "--" + {"overrides": "set"}.get(field, field.replace("_", "-"))


def command_of(grid: Grid) -> str:
    """The `ladd ablate` command that gives this grid, in a form for a shell; defaults are left out."""
    words = ["ladd", "ablate", grid.name]
    for name, field in Grid.model_fields.items():
        value = getattr(grid, name)
        if name != "name" and value != field.default:
            words += _option(flag(name), value)
    return shlex.join(words)


def _option(option: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [option if value else f"--no-{option.removeprefix('--')}"]
    if isinstance(value, dict):  # JSON is YAML too, and one line
        return [option, *(f"{key}={json.dumps(each)}" for key, each in value.items())]
    return [option, *map(str, value if isinstance(value, list) else [value])]
