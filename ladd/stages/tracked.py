"""The tracked run of a stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ladd.stages.manifest import dvc_hash
from ladd.stages.runtime import Stage
from ladd.tracking import TrackedRun, flatten


def stage_run(stage: Stage, *, chain: dict[str, Any], tags: dict[str, Any]) -> TrackedRun:
    """The tracked run of a stage, with the DVC hashes of its inputs."""
    suite, declaration = stage.suite, stage.declaration
    hashes = {f"dvc.in.{path}": dvc_hash(path) for path in declaration.inputs}
    return TrackedRun(
        Path(suite.root),
        experiment=suite.suite,
        name=declaration.name,
        fingerprint=stage.fingerprint,
        parameters=flatten(chain) | {key: value for key, value in tags.items() if value is not None},
        tags={"suite": suite.suite, "experiment": stage.key, "dvc.stage": declaration.name, **tags, **hashes},
    )


def tag_outputs(stage: Stage, run: TrackedRun) -> None:
    """Tag the run with the DVC hashes of the outputs; called when they are written."""
    run.tag({f"dvc.out.{path}": dvc_hash(path) for path in stage.declaration.outputs})
