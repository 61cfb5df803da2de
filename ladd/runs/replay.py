"""A tracked run again: what it takes, and doing it."""

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ladd.config import Suite, check_suite, load_suite
from ladd.config.messages import changes
from ladd.config.replicates import replicated
from ladd.errors import ArtifactError, ConfigError
from ladd.git import code_distance
from ladd.launch.confine import NAME
from ladd.launch.pipeline import PIPELINE, write_pipeline
from ladd.launch.project import PROJECT, write_project
from ladd.launch.worktree import LAUNCH_VARIABLE, worktree
from ladd.stages.manifest import dvc_hash
from ladd.stages.planned import PLANNED, keys_of
from ladd.stages.tracked import versions
from ladd.tracking import LoggedRun
from ladd.yaml_files import parse_yaml, read_yaml, write_yaml

# What becomes a path, a word of a command line, or an argument of git.
TAGS = {"dvc.stage": rf"[a-z][a-z0-9_-]*(@{NAME})?", "git.commit": "[0-9a-f]{40}|[0-9a-f]{64}|none", "suite": NAME}
RUN = "[0-9a-f]{32}"
ROOTS = (".", "../..")
INPUT, OUTPUT = "dvc.in.", "dvc.out."
Pipeline = Callable[[Path, Mapping[str, str], str], None]  # folder of the suite, environment, stage


def check_tags(run: LoggedRun) -> None:
    """Refuse tags that no stage writes, before they become paths or arguments of git. Raises ConfigError: naming the
    tag."""
    if not re.fullmatch(RUN, run.id):
        raise ConfigError(f"run {run.id!r}: MLflow gives no run such an id")
    for tag, form in TAGS.items():
        if not re.fullmatch(form, run.tags[tag]):
            raise ConfigError(f"run {run.id}: {tag} is {run.tags[tag]!r}, which no stage writes")


def check_run(run: LoggedRun) -> None:
    """Refuse a run that no stage can have made, before anything of it runs. Raises ConfigError: a tag, or its
    params.yaml, is not what a stage writes. ArtifactError: it kept no params.yaml."""
    check_tags(run)
    if run.settings is None:
        raise ArtifactError(f"run {run.id} kept no params.yaml; replay a run that did")
    try:
        suite = check_suite(read_settings(run), f"params.yaml of run {run.id}")
    except ConfigError as error:
        commit = run.tags["git.commit"]
        error.add_note(f"If it was valid at commit {commit}, check that out and replay the run with the code of then")
        raise
    if suite.suite != run.tags["suite"] or suite.root not in ROOTS:
        raise ConfigError(
            f"run {run.id}: its params.yaml is of suite {suite.suite} with root {suite.root!r}, the run itself of "
            f"suite {run.tags['suite']}, whose root is one of {ROOTS}; it is not replayed"
        )


def read_settings(run: LoggedRun) -> dict[str, Any]:
    """The params.yaml of a run that has one. Raises ConfigError: it is no mapping in YAML."""
    values = parse_yaml(run.settings or "", f"params.yaml of run {run.id}")
    if not isinstance(values, dict):
        raise ConfigError(f"params.yaml of run {run.id} is no mapping; it is not that of a suite")
    return values


def hashes(run: LoggedRun, prefix: str) -> dict[str, str]:
    """DVC hashes of inputs or outputs, by path from the folder of the suite."""
    return {tag.removeprefix(prefix): value for tag, value in sorted(run.tags.items()) if tag.startswith(prefix)}


def differences(root: Path, folder: Path, run: LoggedRun) -> list[str]:
    """A line for everything that a run of the same stage would find different now; none if nothing."""
    return [*_code(root, run), *_parameters(folder, run), *_inputs(folder, run), *_libraries(run)]


def _code(root: Path, run: LoggedRun) -> list[str]:
    commit = run.tags["git.commit"]
    if (distance := code_distance(root, commit)) is None:
        return [f"code: commit {commit} is not in this repository; fetch the branch that has it"]
    (behind, ahead, files), lines = distance, []
    for count, how in ((ahead, "since"), (behind, "of it that HEAD has not")):
        lines += [f"code: {count} commit{'s' * (count > 1)} to ladd/ or dvc.yaml {how}"] if count else []
    if files:
        shown = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
        lines.append(f"code: {len(files)} file{'s' * (len(files) > 1)} differ from it: {shown}")
    return lines


def _parameters(folder: Path, run: LoggedRun) -> list[str]:
    if run.settings is None:
        return ["parameters: the run kept no params.yaml, so they cannot be compared"]
    try:
        now = stage_settings(load_suite(folder / "params.yaml"), run)
        then = stage_settings(replicated(check_suite(read_settings(run), f"params.yaml of run {run.id}")), run)
    except ConfigError as error:
        return [f"parameters: {folder} has no {run.tags['dvc.stage']} of such settings today ({error})"]
    return [f"parameter {key}: {before} then, {after} now" for key, before, after in changes(then, now)]


def stage_settings(suite: Suite, run: LoggedRun) -> dict[str, Any]:
    """What the stage of a run computes with under some settings, as it is planned today. Raises ConfigError: the
    suite does not have the stage."""
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


def suite_folder(run: LoggedRun) -> Path:
    """The folder of the run's suite, from the root of the repository: the root itself, or suites/NAME. Raises
    ConfigError: its params.yaml names another root."""
    root = "." if run.settings is None else read_settings(run).get("root")
    for folder in (Path("."), Path("suites") / run.tags["suite"]):
        if isinstance(root, str) and os.path.normpath(folder / root) == ".":
            return folder
    raise ConfigError(f"run {run.id}: root is {root!r} in its params.yaml; a suite is in suites/NAME or in the root")


def described(root: Path, run: LoggedRun) -> str:
    """What the run was and what it takes to get it again, then what differs today. Raises ConfigError: the run says
    what no stage writes."""
    check_tags(run)
    changed = changed_files(run)
    how = f"but these differed from it: {changed}" if changed else "the code as committed"
    tags, place, stage = run.tags, suite_folder(run), run.tags["dvc.stage"]
    name, _, key = stage.partition("@")
    lines = [
        f"run      {run.id} ({run.name})",
        f"stage    {stage} of suite {tags['suite']}, folder {place}",
        f"commit   {tags['git.commit']}, {how}",
        f"command  python -m ladd.stages.{name} {key}",
        *(f"input    {path} {digest}" for path, digest in hashes(run, INPUT).items()),
        *(f"output   {path} {digest}" for path, digest in hashes(run, OUTPUT).items()),
        f"library  {tags.get('ladd.versions', 'not known')}",
        "",
        "to get it again: `ladd replay --go` with this id, which does in a work tree of its own",
        f"  git checkout {tags['git.commit']}; params.yaml of the run in {place}; dvc repro {stage}",
        "",
    ]
    differs = differences(root, root / place, run)
    lines += ["what differs today:", *(f"  {line}" for line in differs)] if differs else ["nothing differs today"]
    return "\n".join([*lines, "", *_settings(root / place, run)])


def changed_files(run: LoggedRun) -> str:
    """Files of the code that differed from the commit, with spaces between; "" for none."""
    if run.tags["git.commit"] == "none":
        return "everything (it did not run in a git repository)"
    if (changed := run.tags.get("git.changed")) is not None:
        return "" if changed == "none" else changed
    return "files that it does not name" if run.tags.get("git.dirty") == "true" else ""


def _settings(folder: Path, run: LoggedRun) -> list[str]:
    if run.settings is None:
        return ["params.yaml: the run kept none"]
    now = folder / "params.yaml"
    with contextlib.suppress(ConfigError):
        if write_yaml(load_suite(now).written.model_dump(mode="json")) == run.settings:
            return [f"params.yaml: that of {now} today"]
    return ["params.yaml of the run:", *(f"  {line}" for line in run.settings.splitlines())]


def replay(root: Path, run: LoggedRun, pipeline: Pipeline, *, allow_dirty: bool = False) -> None:
    """Run the stage again at its commit with its parameters, and compare what it wrote; a line per output.

    It runs in a work tree of its own with DVC's cache, so what the cache has is not computed again. Its own tracked
    runs go to an experiment of their own. Raises ConfigError: the code of the run differed from its commit, or what
    the run says is not what a stage writes. ArtifactError: the run kept no params.yaml, or an output is another one.
    Then the work tree is kept. LaunchError: git or DVC refuse, for example because the commit is not there."""
    if (changed := changed_files(run)) and not allow_dirty:
        raise ConfigError(
            f"run {run.id}: its code was not that of commit {run.tags['git.commit']}, these differed: {changed}; what "
            "they were is not known, so the commit may give other bytes. --dirty replays the commit all the same"
        )
    check_run(run)
    name, stage = f"replay-{run.id[:8]}", run.tags["dvc.stage"]
    with worktree(root, name, commit=run.tags["git.commit"]) as tree:
        folder = tree.path / suite_folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "params.yaml").write_text(str(run.settings))
        if not (folder / PIPELINE).exists():  # a suite that was never committed
            write_pipeline(tree.path, folder)
        elif folder != tree.path and (folder / PROJECT).is_dir():  # with the cache of this worktree's root
            write_project(tree.path, folder)
        pipeline(folder, {**tree.environment, LAUNCH_VARIABLE: name}, stage)
        _check_outputs(folder, run)


def _check_outputs(folder: Path, run: LoggedRun) -> None:
    expected = hashes(run, OUTPUT)
    if not expected:
        raise ArtifactError(f"run {run.id} has no {OUTPUT}* tag: it did not end well, so there is nothing to compare")
    wrong = []
    for name, digest in expected.items():
        actual = dvc_hash(folder / name, known=None) if (folder / name).exists() else "missing"
        print(f"{name}: {'equal' if actual == digest else 'different'}", flush=True)
        wrong += [f"{name} ({digest} then, {actual} now)"] if actual != digest else []
    if wrong:
        raise ArtifactError(f"run {run.id} gave other bytes: {', '.join(wrong)}")
