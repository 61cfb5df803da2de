"""What two states of a params.yaml, or of a part of one, differ in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def changes(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str, str]]:
    """Innermost keys that differ, after a prefix, each with the old and the new value as people read them."""
    found = []
    for name in [*old, *(name for name in new if name not in old)]:
        key, before, after = f"{prefix}{name}", old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            found += changes(before, after, f"{key}.")
        elif name not in old or name not in new or before != after:
            found.append((key, _show(old, name), _show(new, name)))
    return found


def _show(values: Mapping[str, Any], name: str) -> str:
    return json.dumps(values[name], ensure_ascii=False, default=str) if name in values else "(not there)"
