"""What git says of the code that runs."""

import functools
import logging
import os
import subprocess
from pathlib import Path

CODE = ("ladd", ":(glob)**/dvc.yaml")  # what decides what a stage computes, besides its parameters and inputs


def git_tags(root: Path) -> dict[str, str]:
    """Commit, whether the tree differs from it, and in which files of the code; hardly anything outside a repository.

    Results are in git too and change while a pipeline runs, so a tree that differs may have run the committed code."""
    try:
        changed = _git(root, "status", "--porcelain", "--", *CODE).splitlines()
        return {
            "git.commit": _git(root, "rev-parse", "HEAD"),
            "git.dirty": str(bool(_git(root, "status", "--porcelain"))).lower(),
            "git.changed": " ".join(line.split()[-1] for line in changed)[:1000] or "none",
        }
    except (FileNotFoundError, subprocess.CalledProcessError):
        return {"git.commit": "none"}


def code_distance(root: Path, commit: str) -> tuple[int, int, list[str]] | None:
    """From a commit to the working tree: commits to the code that it has and HEAD has not, those that HEAD has and it
    has not, and files of the code that differ now. None where the repository does not have the commit."""
    try:
        counts = _git(root, "rev-list", "--left-right", "--count", f"{commit}...HEAD", "--", *CODE)
        files = _git(root, "diff", "--name-only", "--relative", commit, "--", *CODE).splitlines()
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    behind, ahead = map(int, counts.split())
    return behind, ahead, files


def last_change(root: Path, path: Path) -> str | None:
    """Commit that changed a file last, and its date; None where git does not have the file as it is."""
    try:
        if _git(root, "status", "--porcelain", "--", str(path.resolve())):
            return None
        return _git(root, "log", "-1", "--format=%H, %cs", "--", str(path.resolve())) or None
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None


def main_checkout(root: Path) -> Path:
    """The same folder in the main working tree of the repository, which all its work trees share.

    Outside a repository, and in one without a main working tree, it is the folder itself."""
    root = root.resolve()
    try:
        common = Path(_git(root, "rev-parse", "--path-format=absolute", "--git-common-dir"))
        top = Path(_git(root, "rev-parse", "--show-toplevel"))
    except (FileNotFoundError, subprocess.CalledProcessError):
        return root
    return common.resolve().parent / root.relative_to(top.resolve()) if common.name == ".git" else root


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root.resolve()), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"LC_ALL": "C"})
    except subprocess.CalledProcessError as error:
        if "dubious ownership" in error.stderr:
            _warn_of_owner(root.resolve())
        raise
    return done.stdout.rstrip("\n")  # and no more: a path may end in a space


@functools.cache  # once in a process
def _warn_of_owner(root: Path) -> None:
    logging.warning(
        "git does not trust %s, as it is another user's: no commit is recorded, and no run can be replayed. Trust it: "
        "git config --global --add safe.directory '%s'",
        root,
        root,
    )
