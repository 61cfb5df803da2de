"""What git says of the code that runs."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_tags(root: Path) -> dict[str, str]:
    """Commit, and whether the tree differs from it; empty outside a git repository."""
    try:
        return {
            "git.commit": _git(root, "rev-parse", "HEAD"),
            "git.dirty": str(bool(_git(root, "status", "--porcelain"))).lower(),
        }
    except (FileNotFoundError, subprocess.CalledProcessError):
        return {"git.commit": "none"}


def code_version(root: Path) -> str:
    """Commit in short, with a "+" where the package differs from it; "none" outside a git repository.

    Only the package counts: results change while a pipeline runs.
    """
    try:
        changed = _git(root, "status", "--porcelain", "--", "ladd")
        return _git(root, "rev-parse", "HEAD")[:12] + ("+" if changed else "")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "none"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root.resolve()), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
