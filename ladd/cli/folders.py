"""Folders as arguments of commands."""

from __future__ import annotations

import os
from pathlib import Path

from ladd.config.messages import cut
from ladd.errors import ConfigError


def check_suite_folder(folder: str | Path) -> None:
    """Refuse what is no folder.

    Raises:
        ConfigError: naming the option.
    """
    if not os.path.isdir(folder):  # of Path, it raises over a name that is too long
        raise ConfigError(f"--suite: {cut(str(folder))} is no folder; name one that has a params.yaml")
