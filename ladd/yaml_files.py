"""YAML as DVC reads it: version 1.2, where 010 is ten and 3e-4 a number, and a key that stands twice is an error.

DVC records what it reads, so a file that is read by other rules here trains with values that nobody recorded.
"""

from __future__ import annotations

import functools
import json
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
    """The values of one document.

    Args:
        name: of the file or whatever else holds it, for the message.
    Raises:
        ConfigError: it is not YAML.
    """
    from ruamel.yaml import YAML  # here, so that this module imports without it
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)  # what `dvc` calls
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        # The library's own text has advice on how to switch its checks off.
        reasons = filter(None, (getattr(error, part, None) for part in ("context", "problem")))
        place = "" if mark is None else f", line {mark.line + 1}"
        raise ConfigError(f"{name} is not YAML{place}: {': '.join(reasons) or error}") from None
    except RecursionError:
        raise ConfigError(f"{name} is not YAML that can be read: its blocks are nested too deeply") from None
    except Exception as error:  # what the library lets through: a number of thousands of digits, or of a sign alone
        raise ConfigError(f"{name} is not YAML that can be read: {str(error)[:300]}") from None


def write_yaml(values: Any) -> str:
    """YAML of plain values, a line for each innermost block; versions 1.1 and 1.2 read the same from it."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """It also puts text in quotes that version 1.2 takes for something else, such as 1e3: PyYAML knows 1.1."""

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else "'")

    Dumper.add_representer(str, represent)
    unshared = json.loads(json.dumps(values))  # no anchors
    return yaml.dump(unshared, Dumper=Dumper, sort_keys=False, default_flow_style=None, width=120, allow_unicode=True)


@functools.cache
def _is_plain(text: str) -> bool:
    try:
        return parse_yaml(text, "text") == text
    except ConfigError:
        return False
