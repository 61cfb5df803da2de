"""YAML as DVC reads it: version 1.2, where 010 is ten and 3e-4 a number, and a key that stands twice is an error.

DVC records what it reads, so a file that is read by other rules here trains with values that nobody recorded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ladd.errors import ConfigError


def read_yaml(path: Path) -> Any:
    """The values of a file.

    Raises:
        FileNotFoundError: it is not there.
        ConfigError: it is not YAML; with the file, the line and the reason.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not YAML: byte {error.start} is not UTF-8; save the file as UTF-8") from None
    return parse_yaml(text, path)


def parse_yaml(text: str, name: object) -> Any:
    """The values of a text.

    Args:
        text: one document.
        name: of the file or whatever else holds it, for the message.
    Raises:
        ConfigError: it is not YAML.
    """
    from ruamel.yaml import YAML  # here, so that this module imports without it
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)  # what `dvc` calls
    except YAMLError as error:
        raise ConfigError(f"{name} is not YAML{_place(error)}: {_reason(error)}") from None
    except RecursionError:
        raise ConfigError(f"{name} is not YAML that can be read: its blocks are nested too deeply") from None
    except Exception as error:  # what the library lets through: a number of thousands of digits, or of a sign alone
        raise ConfigError(f"{name} is not YAML that can be read: {str(error)[:300]}") from None


def _place(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    return "" if mark is None else f", line {mark.line + 1}"


def _reason(error: Any) -> str:
    """Why, in a line: the library's own text has advice on how to switch its checks off."""
    parts = [getattr(error, name, None) for name in ("context", "problem")]
    return ": ".join(part for part in parts if part) or str(error)
