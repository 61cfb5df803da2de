"""Suites that have run without a kill: the state before and after every stage, and what a stage leaves."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ladd.files import file_hash
from ladd.stages.declaration import read_declaration
from ladd.stages.planned import stages_in_order
from tests.builders import text_suite_values
from tests.kills.server import Server
from tests.stages.text_assets import write_assets
from tests.stages.tiny import make_suite, tiny_values

# Checkpoints are pruned: of seven the last two stay, and the best.
TRAINING = {"steps": 12, "validate_every": 2, "checkpoint_every": 2, "keep": 2}
UPLOADING = ".artifact.uploading."  # half a file of MLflow's, which it shows to nobody

State = dict[str, Any]


def sawtooth_values() -> dict:
    """One model of each kind, and one sweep of it."""
    values = tiny_values() | {"root": "../.."}
    kept = {"latents": ["di"], "priors": [], "baselines": ["mdlm"], "models": ["di-ladd"], "sweeps": ["mdlm", "di-seq"]}
    for block, keys in kept.items():
        values[block] = {key: values[block][key] for key in keys}
    for block in ("latents", "baselines", "models"):
        for config in values[block].values():
            config["training"] |= TRAINING
    return values


def text_values() -> dict:
    """Latents of a frozen encoder, codes of them, and a model on those."""
    values = text_suite_values()
    for config in (values["models"]["di"], values["priors"]["chunks"]):
        config["training"] |= TRAINING
    return values


class Suite:
    """A suite that has run in a repository of its own.

    Attributes:
        outcomes: by stage.
        after: what there was after each stage.
    """

    def __init__(self, server: Server, repository: Path, values: dict, stages: Iterable[str]):
        self.server, self.repository = server, repository
        self.saved = repository.with_name(f"{repository.name}-saved")
        self.folder = make_suite(repository, repository / "suites" / values["suite"], values)
        self.outcomes, self.after = {}, {}
        for stage in stages:
            self._copy(self._state(), self.saved / stage)
            self.outcomes[stage] = self.run(stage)
            assert self.outcomes[stage].code == 0, self.outcomes[stage].output
            self.after[stage] = observe(self.repository, self.folder)

    def run(self, stage: str, at: int | None = None) -> Any:
        """Run a stage, and kill it before a change."""
        return self.server.run(self.repository, self.folder, stage, at=at)

    def restore(self, stage: str) -> None:
        """Everything as it was before a stage ran."""
        for path in self._state():
            shutil.rmtree(path, ignore_errors=True)
        self._copy([self.saved / stage / str(i) for i in range(len(self._state()))], None)

    def remove_outputs(self, stage: str) -> None:
        """As DVC does before it runs a stage."""
        name, _, key = stage.partition("@")
        for path in (self.folder / output for output in read_declaration(name, key or None, self.folder).outputs):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _state(self) -> list[Path]:
        names = ("artifacts", "results", ".work")
        return [*(self.folder / name for name in names), self.repository / ".work", self.repository / ".mlflow"]

    def _copy(self, sources: list[Path], target: Path | None) -> None:
        """Between the places of the state and numbered folders."""
        for number, (source, place) in enumerate(zip(sources, self._state(), strict=True)):
            if source.is_dir():
                shutil.copytree(source, place if target is None else target / str(number))


def sawtooth_suite(server: Server, folder: Path) -> Suite:
    """All stages of a synthetic suite."""
    values = sawtooth_values()
    stages = [name if key is None else f"{name}@{key}" for name, key in stages_in_order(values)]
    return Suite(server, folder / "sawtooth", values, stages)


def text_suite(server: Server, folder: Path) -> Suite:
    """The stages that only text has, and a training on their outputs."""
    write_assets(folder / "text")
    return Suite(
        server,
        folder / "text",
        text_values(),
        ["data@text", "encode@bert", "codebook@codes", "prior@chunks", "stage2@di"],
    )


SUITES: dict[str, Callable[[Server, Path], Suite]] = {"sawtooth": sawtooth_suite, "text": text_suite}


def observe(repository: Path, folder: Path) -> State:
    """Hashes of all outputs, names of what is left in .work, and all that is tracked but for times and ids."""
    outputs = [path for name in ("artifacts", "results") for path in (folder / name).rglob("*") if path.is_file()]
    work = [path for path in (folder / ".work").rglob("*") if path.suffix not in (".lock", ".next")]
    state: State = {f"file {path.relative_to(folder)}": file_hash(path) for path in outputs}
    state |= {f"work {path.relative_to(folder)}": "" for path in work}
    database = repository / ".mlflow/mlflow.db"
    return state | (tracked(database) if database.is_file() else {})


MODELS = "(SELECT * FROM logged_models WHERE lifecycle_stage = 'active')"  # MLflow shows no others
QUERIES = {
    "parameter": "SELECT run_uuid, key, value FROM params",
    "tag": "SELECT run_uuid, key, value FROM tags WHERE key != 'ladd.process'",  # its number
    "point": "SELECT run_uuid, key, step, value FROM metrics",
    "model": f"SELECT source_run_id, name, status FROM {MODELS}",
    "tag of model": f"SELECT source_run_id, name, tag_key, tag_value FROM {MODELS} "
    "JOIN logged_model_tags USING (model_id)",
    "point of model": f"SELECT source_run_id, name, metric_name, metric_step, metric_value FROM {MODELS} "
    "JOIN logged_model_metrics USING (model_id)",
}


def tracked(database: Path) -> State:
    """How often everything is in the database and beside it, with runs by their names."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        runs = connection.execute("SELECT run_uuid, name, status, experiment_id FROM runs").fetchall()
        names = {run: f"{name} of experiment {experiment}" for run, name, _, experiment in runs}
        models = connection.execute(f"SELECT model_id, source_run_id, name FROM {MODELS}").fetchall()
        found = Counter(f"run {names[run]} {status}" for run, _, status, _ in runs)
        for kind, query in QUERIES.items():
            for run, *values in connection.execute(query):
                found[f"{kind} {names[run]} {json.dumps([names.get(value, value) for value in values])}"] += 1
    # The only file of a model is a description, with its id and the time.
    descriptions = {model: f"{name} of {names[run]}" for model, run, name in models}
    for path in (database.parent / "artifacts").rglob("*"):
        if path.is_file() and not path.name.startswith(UPLOADING):
            experiment, *rest = path.relative_to(database.parent / "artifacts").parts
            if rest[0] != "models":
                found[f"artifact {experiment} {names[rest[0]]} {'/'.join(rest[1:])} {file_hash(path)}"] += 1
            elif rest[1] in descriptions:
                found[f"description {experiment} {descriptions[rest[1]]} {'/'.join(rest[2:])}"] += 1
    return dict(found)


def differences(expected: State, found: State) -> list[str]:
    """What is missing, too much, or other than expected."""
    return [
        f"{name}: {expected.get(name, 'nothing')} without a kill, {found.get(name, 'nothing')} after one"
        for name in sorted(expected.keys() | found.keys())
        if expected.get(name) != found.get(name)
    ]
