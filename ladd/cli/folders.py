"""Folders as arguments of commands."""

from __future__ import annotations

from pathlib import Path

from ladd.errors import ConfigError


def check_suite_folder(folder: str | Path) -> None:
    """Refuse what is no folder.

    Raises:
        ConfigError: naming the option.
    """
    if not Path(folder).is_dir():
        raise ConfigError(f"--suite: {folder} is no folder; name one that has a params.yaml")
