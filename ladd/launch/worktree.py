"""A checkout of its own for a launch: a detached git worktree that shares DVC's cache."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from ladd.config.messages import cut
from ladd.errors import BusyError, LaunchError
from ladd.git import main_checkout
from ladd.launch.confine import check_name
from ladd.lock import exclusive

TREES = Path(".work/trees")  # below the main checkout: git and DVC ignore .work
CODE = ("ladd", "dvc.yaml", "requirements")  # what runs
# The files of suites are the launch's business, and what an earlier try wrote to them is not undone.
SUITE_FILES = ("params.yaml", "plan.json", "dvc.lock", "results/**")
LAUNCH_VARIABLE = "LADD_LAUNCH"  # name of a launch whose tracked runs stay apart from those of its suite
RUNNER = re.compile(r"-m ladd\.stages\.|\bdvc repro\b")


@dataclass(frozen=True)
class Worktree:
    """A checkout that this process alone uses. ``environment``: for commands that run inside. The worktree's code
    comes before any that is installed."""

    path: Path  # its root
    environment: Mapping[str, str]
    fresh: bool  # False when an earlier launch of the same name left it, with what it had done so far


@contextlib.contextmanager
def worktree(root: Path, name: str, *, commit: str = "HEAD") -> Iterator[Worktree]:
    """Check out a commit in .work/trees/NAME of the main checkout; it goes when the block ends well.

    After a failure or a kill it stays, and the next launch of that name goes on in it. Raises ConfigError: the name
    is none. BusyError: a launch of that name runs, or a process that a killed one left. LaunchError: the code
    differs from HEAD, or git or DVC refuse. ``commit``: what to check out. With HEAD, the code in ``root`` must be
    committed."""
    check_name(name, "launch")
    revision = _git(root, "rev-parse", "--verify", f"{commit}^{{commit}}")
    if commit == "HEAD" and (changes := _git(root, "status", "--porcelain", "--", *CODE)):
        raise LaunchError(f"commit first, a launch runs the committed code; these differ from HEAD:\n{changes}")
    main = main_checkout(root).resolve()
    folder = main / TREES / name
    with exclusive(folder.with_name(f"{name}.lock"), f"launch {name}"):
        _refuse_orphans(folder)
        _follow_move(main, folder)
        fresh = not _is_whole(main, folder)
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
            # Twice: over the registration of a folder that is gone, even if git was killed while it made that.
            _git(main, "worktree", "add", "--detach", "--force", "--force", str(folder), revision)
        else:
            _update(folder, revision)
        _share_cache(main, folder)
        try:
            yield Worktree(folder, _environment(folder), fresh)
        except BaseException as error:
            error.add_note(f"{folder} is kept: the same launch goes on from there (git worktree remove gives it up)")
            raise
        _git(main, "worktree", "remove", "--force", str(folder))


def root_of(folder: Path) -> Path:
    """Root of the checkout that a folder is in. Raises LaunchError: it is in none."""
    if not os.path.isdir(folder):  # of Path, it raises over a name that is too long
        raise LaunchError(f"{cut(str(folder))} is no folder; name that of a suite")
    return Path(_git(folder, "rev-parse", "--show-toplevel"))


def _refuse_orphans(folder: Path) -> None:
    """A killed launch may leave processes; they write where this one would."""
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        command, where = " ".join(process.info["cmdline"] or ()), process.info["cwd"]
        if where and Path(where).is_relative_to(folder) and RUNNER.search(command):
            raise BusyError(
                f"{folder}: process {process.pid} of an earlier launch still runs in it ({command}); "
                "wait for it or end it, then try again"
            )


def _follow_move(main: Path, folder: Path) -> None:
    """After the checkout was moved, it and the worktree look for each other where they were.

    A copy is none: there the worktree knows the original, which git would mend for it, so it is made anew."""
    link = folder / ".git"
    if link.is_file() and not Path(link.read_text().removeprefix("gitdir: ").rstrip("\n")).exists():
        with contextlib.suppress(LaunchError):  # it is made anew
            _git(main, "worktree", "repair", str(folder))


def _is_whole(main: Path, folder: Path) -> bool:
    """Whether git has made the folder, and finished: until then it is locked for that reason."""
    for entry in _git(main, "worktree", "list", "--porcelain").split("\n\n"):
        lines = entry.splitlines()
        if f"worktree {folder}" in lines:
            return (folder / ".git").is_file() and "locked initializing" not in lines
    return False


def _update(folder: Path, revision: str) -> None:
    """Bring all but the files of suites to a commit, whatever state a killed git left."""
    lock = _git(folder, "rev-parse", "--path-format=absolute", "--git-path", "index.lock")
    Path(lock).unlink(missing_ok=True)
    _git(folder, "update-ref", "--no-deref", "HEAD", revision)
    kept = [f":(exclude,glob)**/{name}" for name in SUITE_FILES]
    _git(folder, "checkout", "--no-overlay", revision, "--", ".", *kept)


def _share_cache(main: Path, folder: Path) -> None:
    """Remotes and their secrets as in the main checkout, and the same cache."""
    local = Path(".dvc/config.local")
    if (main / local).is_file():
        shutil.copy(main / local, folder / local)
    dvc = (sys.executable, "-m", "dvc")
    cache = os.path.relpath(_run([*dvc, "cache", "dir"], main), folder)
    if not cache.isascii():  # DVC writes its configuration in ASCII
        link = folder / ".dvc/cache"
        link.unlink(missing_ok=True)
        link.symlink_to(Path("..", cache))
        cache = ".dvc/cache"
    _run([*dvc, "config", "--local", "cache.dir", cache], folder)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != LAUNCH_VARIABLE}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | {"PYTHONPATH": str(folder), "PATH": path}


def _git(folder: Path, *arguments: str) -> str:
    return _run(["git", *arguments], folder)


def _run(command: list[str], folder: Path) -> str:
    try:
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise LaunchError(
            f"{error.filename} is not there; a launch needs git and a checkout of the repository"
        ) from None
    if process.returncode:
        raise LaunchError(f"`{' '.join(command)}` failed in {folder}:\n{process.stderr.strip()}")
    return process.stdout.rstrip("\n")  # and no more: a path may end in a space
