"""The folder of a suite: made ready in a worktree and handed over from there. What DVC reads in it are copies.

It is a project of DVC's own, so that a command speaks of it alone and reads nothing else, with a copy of the root's
dvc.yaml and the settings and the cache of the root. Links would do for `dvc repro`, but DVC reads no link in a git
revision, so `dvc params diff`, `dvc metrics diff` and `dvc exp show` would find nothing to compare with.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from ladd.files import remove, write_atomically
from ladd.launch.project import write_project
from ladd.launch.worktree import Worktree
from ladd.stages.plan import renew_plan
from ladd.yaml_files import parse_yaml, read_yaml

PIPELINE = Path("dvc.yaml")
HEADER = "# A copy, written by `make pipelines`: edit dvc.yaml at the root of the repository.\n"
MODULES = "*.py"
STATE = ("dvc.lock", "results")  # what DVC finds unchanged, and so does not run again
PARTIAL, REPLACED = Path(".work/incoming"), Path(".work/replaced")  # git and DVC ignore .work


def write_pipeline(root: Path, folder: Path) -> None:
    """Make the suite in ``folder`` a project of DVC's own with the pipeline of the root; what is no copy stays."""
    write_project(root, folder)
    path = folder / PIPELINE
    if path.is_file() and not path.is_symlink() and not path.read_text().startswith(HEADER):
        return
    path.unlink(missing_ok=True)
    write_atomically(path, (HEADER + (root / PIPELINE).read_text()).encode())


def prepare(source: Path, folder: Path, params: str, tree: Worktree, *, modules: Path | None = None) -> None:
    """Write a suite into a worktree, with what is known of its state.

    That is what an earlier try of the same parameters left there, or else what the suite's own folder holds.

    Args:
        source: folder of the suite in the checkout; it need not be there.
        params: content of params.yaml, which takes nothing over from other files.
        modules: folder with the Python modules of the suite, by default ``source``.
    """
    path = folder / "params.yaml"
    if tree.fresh or not path.is_file() or read_yaml(path) != parse_yaml(params, path):
        for name in STATE:
            remove(folder / name)
            if (source / name).exists():
                folder.mkdir(parents=True, exist_ok=True)
                _copy(source / name, folder / name)
    for module in (modules or source).glob(MODULES):
        folder.mkdir(parents=True, exist_ok=True)
        _copy(module, folder / module.name)
    if folder != tree.path:
        write_pipeline(tree.path, folder)
    write_atomically(path, params.encode())  # last: until it is there, the state is not taken for that of these


def hand_over(source: Path, target: Path, names: Sequence[str]) -> None:
    """Put files and folders of a suite in the place of those in ``target``; what else is there stays.

    Each is copied beside its place and renamed, so that a kill loses neither the old nor the new."""
    incoming, replaced = target / PARTIAL, target / REPLACED
    for name in names:
        if (replaced / name).exists() and not (target / name).exists():  # killed between two renames
            os.replace(replaced / name, target / name)
    for folder in (incoming, replaced):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name in names:
        _copy(source / name, incoming / name)
    for name in names:
        if (target / name).is_dir():
            os.replace(target / name, replaced / name)  # a folder takes no other's place
        os.replace(incoming / name, target / name)
    for folder in (incoming, replaced):
        shutil.rmtree(folder)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)


def main() -> None:
    """Write those of all suites of the repository in the working directory, and the plans, without which DVC stops."""
    renew_plan()
    for settings in sorted(Path("suites").glob("*/params.yaml")):
        write_pipeline(Path(), settings.parent)
        renew_plan(settings.parent)


if __name__ == "__main__":
    main()
