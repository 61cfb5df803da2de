"""What a run says of itself, checked before any of it is used: whoever may write to the tracking server wrote it."""

from __future__ import annotations

import re
from typing import Any

from ladd.config import check_suite
from ladd.errors import ArtifactError, ConfigError
from ladd.launch.confine import NAME
from ladd.tracking import LoggedRun
from ladd.yaml_files import parse_yaml

# What becomes a path, a word of a command line, or an argument of git.
TAGS = {"dvc.stage": rf"[a-z][a-z0-9_-]*(@{NAME})?", "git.commit": "[0-9a-f]{40}|[0-9a-f]{64}|none", "suite": NAME}
RUN = "[0-9a-f]{32}"
ROOTS = (".", "../..")


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
