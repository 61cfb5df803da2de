"""Runs of stages that did not run here: DVC restored what they wrote, or the store is another one."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ladd.config import Suite
from ladd.errors import ArtifactError
from ladd.stages.compare import show_comparison
from ladd.stages.declaration import Declaration
from ladd.stages.plan import renew_plan
from ladd.stages.recorded import record_codebook, record_training
from ladd.stages.results import log_results, read_results
from ladd.stages.seconds import log_seconds
from ladd.stages.tracked import current_fingerprints, open_run, tag_outputs, tracked_declarations
from ladd.tracking import Experiment, TrackedRun, answering, check_server, tracking_uri
from ladd.yaml_files import read_yaml

COMPARE = "compare"


class Synced(NamedTuple):
    """What was done about a stage: its run was made, completed or there, or the stage was skipped."""

    stage: str
    outcome: str
    reason: str = ""


def sync(suite: Suite) -> Iterator[Synced]:
    """Give every up-to-date tracked stage its run, then mark and show the suite as `compare` does; one item per
    stage. Raises ArtifactError: DVC does not answer, or it calls a file up to date that cannot be read.
    TrackingError: the tracking server does not answer, or not any more; what was done stays. ``suite``: settings;
    its folder is the working directory."""
    uri = tracking_uri(Path(suite.root))
    check_server(uri)
    with answering(uri):
        yield from _sync(suite)


def _sync(suite: Suite) -> Iterator[Synced]:
    renew_plan()  # or DVC would hold stages up to date by the settings and the code of then
    outdated, path = outdated_stages(), Path("dvc.lock")
    locked = set(read_yaml(path)["stages"]) if path.is_file() else set()
    experiment = Experiment(Path(suite.root), suite.suite)
    for declaration in tracked_declarations(suite):
        name = declaration.name
        if reason := _why_not(name, outdated, locked):
            yield Synced(name, "skipped", reason)
        else:
            yield Synced(name, _ensure(suite, declaration, experiment))
    if reason := _why_not(COMPARE, outdated, locked):
        experiment.mark(current_fingerprints(suite))
        yield Synced(COMPARE, "skipped", reason)
    else:
        show_comparison(suite)
        yield Synced(COMPARE, "shown")


def _why_not(stage: str, outdated: dict[str, str], locked: set[str]) -> str:
    return outdated.get(stage, "") if stage in locked else "dvc.lock does not have it: it never ran"


def _ensure(suite: Suite, declaration: Declaration, experiment: Experiment) -> str:
    fingerprint = declaration.fingerprint()
    found = experiment.find(fingerprint)
    if found is not None and found.info.status == "FINISHED":
        return "there"
    with open_run(suite, declaration, fingerprint, {"ladd.restored": "true"}, strict=True) as run:
        _fill(suite, declaration, run)
        tag_outputs(declaration, run)
    return "made" if found is None else "completed"


def _fill(suite: Suite, declaration: Declaration, run: TrackedRun) -> None:
    """By the code that the stages use."""
    name, _, key = declaration.name.partition("@")
    if name == "measure":
        table = read_results(Path(f"results/evaluate/{key}.csv"))
        log_results(table, run)
        log_seconds(table, key, suite.sweeps[key], run)
    elif name == "codebook":
        record_codebook(key, suite.codebooks[key].steps, run)
    else:
        record_training(declaration, run)


def outdated_stages() -> dict[str, str]:
    """Stages of the working directory that DVC would run, each with what changed. Raises ArtifactError: DVC does not
    answer, for example because a stage is running."""
    command = [sys.executable, "-m", "dvc", "status", "--json", "dvc.yaml"]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        raise ArtifactError(f"`dvc status` failed in {Path.cwd()}; let it pass, then try again:\n{process.stderr}")
    return {name: _reason(changes) for name, changes in json.loads(process.stdout).items()}


def _reason(changes: list[Any]) -> str:
    """In words; `dvc status` says "changed command", or {"changed deps": {a path, or a file of parameters: ...}}."""
    words = []
    for change in changes:
        if isinstance(change, str):
            words.append(change)
            continue
        for what, paths in change.items():
            names = [key for path, how in paths.items() for key in (how if isinstance(how, dict) else [path])]
            words.append(f"{what} {', '.join(names)}")
    return "; ".join(words)
