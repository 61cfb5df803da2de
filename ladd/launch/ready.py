"""A suite made ready for DVC: python -m ladd.launch.ready [FOLDER]. It clears what a kill and a full disk leave there.

DVC keeps a list of the paths that its processes use, with their numbers, and looks whether a process of that number is
alive. After a kill the entry stays, and another program may have the number: in containers, and on a volume that
several machines share, that is usual, and DVC then waits for it for ever. It writes this list and dvc.lock in place, so
a kill or a full disk cuts them off, and DVC then refuses to start. Stages and their paths are in the plan, which DVC
reads before it runs the stage that renews it; so that is run first.
"""

import argparse
import fcntl
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import yaml

from ladd.errors import ConfigError, LaddError, LaunchError
from ladd.files import storage_error, write_atomically

CLAIMS, LOCK = Path(".dvc/tmp/rwlock"), Path(".dvc/tmp/lock")
MODULE = "ladd.stages.plan"
RECORD, DAMAGED = Path("dvc.lock"), Path(".work/dvc.lock.damaged")
# That open DVC's repository, in a command: a word, the last part of a path, or the one before it, such as flows/run.py.
PROGRAMS = re.compile(r"(?<![^\s/])(dvc|flows|prefect)(?=[\s.]|$|/[^\s/]*(?:\s|$))")

log = logging.getLogger(__name__)


def make_ready(folder: Path, environment: Mapping[str, str] | None = None) -> None:
    """Drop claims of processes that are gone, put back a dvc.lock that was cut off, and renew the plan. Raises
    ConfigError: the settings are not valid. LaunchError: dvc.lock has conflict marks of git. StorageError: a file
    cannot be written."""
    folder = folder.resolve()
    try:
        root = next((root for root in (folder, *folder.parents) if (root / ".dvc").is_dir()), None)
        if root is not None and (root / ".dvc/tmp").is_dir():  # DVC has run here
            _drop_stale_claims(root)
            _mend_record(root, folder)
    except OSError as error:
        raise storage_error(error) or error from None
    _renew_plan(folder, environment)


def _renew_plan(folder: Path, environment: Mapping[str, str] | None) -> None:
    """DVC reads it before it runs any stage. What plans is the code of the suite, which may be of an old commit."""
    pipeline = folder / "dvc.yaml"
    if not pipeline.is_file() or MODULE not in pipeline.read_text(errors="replace"):
        return
    command = [sys.executable, "-m", MODULE]
    process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if process.returncode:
        raise ConfigError(process.stderr.strip())


def _drop_stale_claims(root: Path) -> None:
    path = root / CLAIMS
    if not path.is_file():
        return
    with path.with_name("rwlock.lock").open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # DVC holds it while it changes the list
        claims = _read(path)
        if claims is None:
            log.warning("%s was cut off, by a kill or a full disk: it is empty again", path)
            path.unlink(missing_ok=True)
            return
        write = {name: info for name, info in claims["write"].items() if _is_of(root, info)}
        read = {name: [info for info in infos if _is_of(root, info)] for name, infos in claims["read"].items()}
        kept = {"write": write, "read": {name: infos for name, infos in read.items() if infos}}
        if kept != claims:
            log.warning("%s: claims of processes that are gone are dropped", path)
            write_atomically(path, json.dumps(kept).encode())


def _read(path: Path) -> dict[str, Any] | None:
    """DVC's list; None where it is none."""
    try:
        claims = {"write": {}, "read": {}} | json.loads(path.read_text())
        for info in (*claims["write"].values(), *(info for infos in claims["read"].values() for info in infos)):
            int(info["pid"])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return claims


def _is_of(root: Path, info: dict[str, Any]) -> bool:
    """Whether the process that wrote a claim may still run in a checkout."""
    number = int(info["pid"])
    if number == os.getpid():
        return False  # this process has none yet: an earlier one had its number
    wrote = set(PROGRAMS.findall(str(info.get("cmd"))))
    try:
        process = psutil.Process(number)
        if wrote and wrote.isdisjoint(PROGRAMS.findall(" ".join(process.cmdline()))):
            return False  # another program
        return Path(process.cwd()).is_relative_to(root)
    except psutil.NoSuchProcess:  # or it has ended, and nobody has asked how
        return False
    except psutil.AccessDenied:  # another user's: where it runs is not known
        return True


def _mend_record(root: Path, folder: Path) -> None:
    path = folder / RECORD
    if not path.is_file() or _is_whole(path.read_text(errors="replace")):
        return
    with (root / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # a dvc that runs, and may be writing the file
            return
        text = path.read_text(errors="replace")
        if not _is_whole(text):
            _replace_record(path, text)


def _replace_record(path: Path, text: str) -> None:
    """Put back the file of the last commit, or none: DVC finds in its cache what has run since."""
    if re.search(r"^(<<<<<<<|=======|>>>>>>>)", text, re.MULTILINE):
        raise LaunchError(
            f"{path} has conflict marks of git: take one side (git checkout --ours or --theirs); what has run is in "
            "DVC's cache all the same"
        )
    kept = path.parent / DAMAGED
    write_atomically(kept, path.read_bytes())
    committed = _committed(path)
    if _is_whole(committed.decode(errors="replace")):
        write_atomically(path, committed)
        now = "that of the last commit is in its place"
    else:
        path.unlink()
        now = "it is gone"
    log.warning("%s was cut off, by a kill or a full disk: %s, and what it was is in %s", path, now, kept)


def _committed(path: Path) -> bytes:
    """A file as HEAD has it; nothing where it has none."""
    try:
        return subprocess.run(["git", "show", f"HEAD:./{path.name}"], cwd=path.parent, capture_output=True).stdout
    except FileNotFoundError:  # no git
        return b""


def _is_whole(text: str) -> bool:
    """Whether it is a file that DVC wrote to the end."""
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        stages = content.get("stages", {}).values()
        files = [file for stage in stages for name in ("deps", "outs") for file in stage.get(name) or ()]
        whole = text.endswith("\n") and content.get("schema") == "2.0" and all("cmd" in stage for stage in stages)
        return whole and all(isinstance(file, dict) and "path" in file for file in files)
    except (yaml.YAMLError, AttributeError, TypeError):  # it has another form
        return False


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(prog="python -m ladd.launch.ready", description=__doc__.partition(":")[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), help="of a suite (default: this one)")
    try:
        make_ready(parser.parse_args().folder)
    except LaddError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
