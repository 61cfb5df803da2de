"""The tracked runs of stages: which stages have one, what it is called, and what is filed under it."""

import logging
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ladd.config import Suite
from ladd.errors import ArtifactError
from ladd.stages.chain import describe_chain, describe_model
from ladd.stages.declaration import Declaration, read_declaration
from ladd.stages.manifest import dvc_hash
from ladd.stages.planned import keys_of
from ladd.stages.runtime import Stage
from ladd.tracking import TrackedRun, flatten
from ladd.yaml_files import write_yaml

log = logging.getLogger(__name__)
TRACKED = ("stage1", "codebook", "prior", "distil", "baseline", "stage2", "adapt", "measure")  # stages that have a run
LIBRARIES = ("torch", "numpy", "transformers", "tokenizers", "scikit-learn", "vector-quantize-pytorch")


def describe_run(suite: Suite, stage_name: str, key: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Of the run of a stage that has one: its name, such as "di-seq · evaluation di-ladd L1 K16 w8 sequential" (tables
    cut its end), all settings behind it (see `describe_chain`), and tags to filter by, None where there is no such
    thing."""
    tags: dict[str, Any]
    if stage_name in ("stage1", "codebook"):
        shape, chain = suite.latent_shape(key), describe_chain(suite, latents=key)
        kind = "discrete" if shape.codebook else "continuous"
        tags = {"role": "latents", "kind": kind, "L": shape.length, "K": shape.codebook, "w": shape.width}
    elif stage_name in ("prior", "distil"):
        shape, chain = suite.latent_shape(suite.priors[key].latents), describe_chain(suite, prior=key)
        tags = {"role": "prior", "kind": "prior", "L": shape.length, "w": shape.width}
    elif stage_name == "measure":
        sweep, chain = suite.sweeps[key], describe_chain(suite, sweep=key)
        tags = {"role": "evaluation", "schedule": sweep.schedule, "model": sweep.model}
        tags |= describe_model(suite, sweep.model)
    else:
        chain, tags = describe_chain(suite, model=key), {"role": "model", **describe_model(suite, key)}
    what = tags.get("kind") or tags["family"]
    sizes = [f"{letter}{tags[letter]}" for letter in "LKw" if tags.get(letter)]
    schedule = [tags["schedule"]] if tags.get("schedule", "none") != "none" else []
    role = [] if tags["role"] == what else [tags["role"]]
    return f"{key} · {' '.join([*role, what, *sizes, *schedule])}", chain, tags


def stage_run(stage: Stage) -> TrackedRun:
    """The tracked run of a stage. Raises ChangedError: what the stage depends on is no longer what it began with:
    its numbers are filed nowhere."""
    stage.declaration.check()
    return open_run(stage.suite, stage.declaration, stage.fingerprint)


def open_run(
    suite: Suite,
    declaration: Declaration,
    fingerprint: str,
    tags: dict[str, str] | None = None,
    *,
    strict: bool = False,
) -> TrackedRun:
    """The tracked run of a stage, with its settings, params.yaml and the DVC hashes of its inputs. ``tags``: more of
    them, for a run that is not there yet. ``strict``: a tracking server that does not answer is an error; otherwise
    what it is to get is kept."""
    stage_name, _, key = declaration.name.partition("@")
    name, chain, described = describe_run(suite, stage_name, key)
    hashes = {f"dvc.in.{path}": dvc_hash(path) for path in declaration.dependencies}
    named = {"suite": suite.suite, "experiment": key, "dvc.stage": declaration.name, "ladd.versions": versions()}
    run = TrackedRun(
        Path(suite.root),
        suite=suite.suite,
        name=name,
        fingerprint=fingerprint,
        parameters=flatten(chain) | {k: v for k, v in described.items() if v is not None},
        tags={**named, **described, **hashes, **(tags or {})},
        strict=strict,
    )
    run.attach("params.yaml", write_yaml(suite.written.model_dump(mode="json")))  # with all that the file takes over
    return run


def tag_outputs(declaration: Declaration, run: TrackedRun) -> None:
    """Tag the run with the DVC hashes of the outputs; called when they are written."""
    run.tag({f"dvc.out.{path}": dvc_hash(path) for path in declaration.outputs})


def versions() -> str:
    """Installed libraries that numbers come from, as NAME=VERSION with spaces between."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name}={version(name)}")
        except PackageNotFoundError:  # a stage that needs it says so
            continue
    return " ".join(found)


def current_fingerprints(suite: Suite, stages: Collection[str] = TRACKED) -> dict[str, str | None]:
    """Fingerprint of every tracked stage by NAME@KEY, of what is on disk; None where an input is missing.

    Results can be there without the artifacts behind them, in a fresh clone."""
    found: dict[str, str | None] = {}
    for declaration in tracked_declarations(suite):
        if declaration.name.partition("@")[0] not in stages:
            continue
        try:
            found[declaration.name] = declaration.fingerprint()
        except ArtifactError as error:
            log.info("%s: the state of its runs is left as it is: %s", declaration.name, error)
            found[declaration.name] = None
    return found


def tracked_declarations(suite: Suite) -> Iterator[Declaration]:
    """Every stage of the suite that has a run, in the order of the pipeline."""
    for name in TRACKED:
        yield from (read_declaration(name, key) for key in keys_of(suite, name))
