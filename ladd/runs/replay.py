"""A tracked run again: what it takes, and doing it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ladd.config import load_suite
from ladd.errors import ArtifactError, ConfigError
from ladd.launch.pipeline import PIPELINE, write_pipeline
from ladd.launch.worktree import LAUNCH_VARIABLE, worktree
from ladd.runs.said import check_run, check_tags, read_settings
from ladd.runs.today import INPUT, OUTPUT, differences, hashes
from ladd.stages.md5 import dvc_hash
from ladd.tracking import LoggedRun
from ladd.yaml_files import write_yaml

Pipeline = Callable[[Path, Mapping[str, str], str], None]  # folder of the suite, environment, stage


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
    tags, place, stage = run.tags, suite_folder(run), run.tags["dvc.stage"]
    name, _, key = stage.partition("@")
    lines = [
        f"run      {run.id} ({run.name})",
        f"stage    {stage} of suite {tags['suite']}, folder {place}",
        f"commit   {tags['git.commit']}, {_cleanness(run)}",
        f"command  python -m ladd.stages.{name} {key}",
        *(f"input    {path} {digest}" for path, digest in hashes(run, INPUT).items()),
        *(f"output   {path} {digest}" for path, digest in hashes(run, OUTPUT).items()),
        f"library  {tags.get('ladd.versions', 'not known')}",
        "",
        "to get it again: `ladd replay --go` with this id, which does in a work tree of its own",
        f"  git checkout {tags['git.commit']}; params.yaml of the run in {place}; dvc repro {stage}",
        "",
    ]
    changed = differences(root, root / place, run)
    lines += ["what differs today:", *(f"  {line}" for line in changed)] if changed else ["nothing differs today"]
    return "\n".join([*lines, "", *_settings(root / place, run)])


def _cleanness(run: LoggedRun) -> str:
    changed = changed_files(run)
    return f"but these differed from it: {changed}" if changed else "the code as committed"


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
        if write_yaml(load_suite(now).model_dump(mode="json")) == run.settings:
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
