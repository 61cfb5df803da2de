"""What is different today from what a run had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ladd.config import Suite, check_suite, load_suite
from ladd.config.messages import changes
from ladd.errors import ConfigError
from ladd.git import code_distance
from ladd.runs.said import read_settings
from ladd.stages.planned import PLANNED, keys_of
from ladd.stages.tracked import versions
from ladd.tracking import LoggedRun
from ladd.yaml_files import read_yaml

INPUT, OUTPUT = "dvc.in.", "dvc.out."


def hashes(run: LoggedRun, prefix: str) -> dict[str, str]:
    """DVC hashes of inputs or outputs, by path from the folder of the suite."""
    return {tag.removeprefix(prefix): value for tag, value in sorted(run.tags.items()) if tag.startswith(prefix)}


def differences(root: Path, folder: Path, run: LoggedRun) -> list[str]:
    """A line for everything that a run of the same stage would find different now; none if nothing.

    Args:
        root: of the repository.
        folder: of the suite.
        run: with or without its params.yaml.
    """
    return [*_code(root, run), *_parameters(folder, run), *_inputs(folder, run), *_libraries(run)]


def _code(root: Path, run: LoggedRun) -> list[str]:
    commit = run.tags["git.commit"]
    distance = code_distance(root, commit)
    if distance is None:
        return [f"code: commit {commit} is not in this repository; fetch the branch that has it"]
    lines = []
    for count, how in ((distance.ahead, "since"), (distance.behind, "of it that HEAD has not")):
        lines += [f"code: {count} commit{'s' * (count > 1)} to ladd/ or dvc.yaml {how}"] if count else []
    if distance.files:
        shown = ", ".join(distance.files[:5]) + (", ..." if len(distance.files) > 5 else "")
        lines.append(f"code: {len(distance.files)} file{'s' * (len(distance.files) > 1)} differ from it: {shown}")
    return lines


def _parameters(folder: Path, run: LoggedRun) -> list[str]:
    if run.settings is None:
        return ["parameters: the run kept no params.yaml, so they cannot be compared"]
    try:
        now = stage_settings(load_suite(folder / "params.yaml"), run)
        then = stage_settings(check_suite(read_settings(run), f"params.yaml of run {run.id}"), run)
    except ConfigError as error:
        return [f"parameters: {folder} has no {run.tags['dvc.stage']} of such settings today ({error})"]
    return [f"parameter {key}: {before} then, {after} now" for key, before, after in changes(then, now)]


def stage_settings(suite: Suite, run: LoggedRun) -> dict[str, Any]:
    """What the stage of a run computes with under some settings, as it is planned today.

    Raises:
        ConfigError: the suite does not have the stage.
    """
    name, _, key = run.tags["dvc.stage"].partition("@")
    if name not in PLANNED or key not in keys_of(suite, name):
        raise ConfigError(f"{' or '.join(PLANNED[name].blocks) if name in PLANNED else 'the pipeline'} has no {key!r}")
    return PLANNED[name].settings(suite, key)


def _inputs(folder: Path, run: LoggedRun) -> list[str]:
    path = folder / "dvc.lock"
    stages = read_yaml(path)["stages"] if path.is_file() else {}
    entries = stages.get(run.tags["dvc.stage"], {}).get("deps", [])
    now = {entry["path"]: entry["md5"] for entry in entries}
    return [
        f"input {name}: {digest} then, {now.get(name, 'not in dvc.lock')} now"
        for name, digest in hashes(run, INPUT).items()
        if now.get(name) != digest
    ]


def _libraries(run: LoggedRun) -> list[str]:
    then, now = (
        dict(word.split("=") for word in text.split()) for text in (run.tags.get("ladd.versions", ""), versions())
    )
    return [
        f"library {name}: {version} then, {now.get(name, 'not installed')} now"
        for name, version in then.items()
        if now.get(name) != version
    ]
