"""A small git and DVC repository that launches can start from; its package does nothing but say which version it is."""

from __future__ import annotations

from pathlib import Path

import yaml

from ladd.errors import StageError
from tests.builders import suite_values
from tests.stages.tiny import REPOSITORY, commit, copy_dvc, git, write_params

PIPELINE = (REPOSITORY / "dvc.yaml").read_text()


def make_repository(folder: Path, pipeline: str = PIPELINE) -> Path:
    """A repository with the suite of `suite_values` at its root, committed."""
    (folder / "ladd").mkdir(parents=True)
    mark(folder, "first")
    (folder / "dvc.yaml").write_text(pipeline)
    write_params(folder, suite_values() | {"root": "."})
    (folder / ".gitignore").write_text("__pycache__/\n.work/\nartifacts/\n")
    copy_dvc(folder)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


def mark(folder: Path, version: str) -> None:
    """Change the code of a checkout."""
    (folder / "ladd/__init__.py").write_text(f"VERSION = {version!r}\n")


def trees_of(folder: Path) -> list[str]:
    """Names of the worktrees that git knows, the main one left out."""
    entries = git(folder, "worktree", "list", "--porcelain").split("\n\n")[1:]
    return [Path(entry.splitlines()[0].removeprefix("worktree ")).name for entry in entries]


class Recorder:
    """Stands in for the pipeline: notes what it is given and leaves results."""

    def __init__(self, *, fails: bool = False):
        self.fails, self.calls = fails, []

    def __call__(self, folder: Path, environment) -> None:
        found = sorted(path.name for path in (folder / "results").glob("*"))
        self.calls.append((folder, dict(environment), yaml.safe_load((folder / "params.yaml").read_text()), found))
        (folder / "results").mkdir(exist_ok=True)
        (folder / "results/compare.txt").write_text("a table\n")
        (folder / "dvc.lock").write_text("of the launch\n")
        (folder / "plan.json").write_text("{}\n")
        if self.fails:
            raise StageError("stage2@di", ["no"])
