"""What a stage is declared to be: command, files and outputs by dvc.yaml, settings and code by the plan."""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ladd.config import load_suite
from ladd.config.messages import changes
from ladd.errors import ChangedError, ConfigError, LaddError
from ladd.registry import suite_folder
from ladd.stages.code import Code
from ladd.stages.manifest import content_hash, is_artifact
from ladd.stages.plan import ALL, Entry, check_plan, started_by_dvc
from ladd.stages.planned import PLANNED, entry_of, keys_of, modules_of
from ladd.yaml_files import read_yaml


@dataclass(frozen=True)
class Declaration:
    """One stage of dvc.yaml with its templates filled in."""

    name: str  # for example "stage2@di-ladd"
    command: str  # as DVC runs it
    entry: Entry  # of the plan: settings, and a hash of the code
    code: Mapping[str, str]  # digest of every file of the code, by path
    dependencies: list[Path]  # files and folders that other stages wrote
    outputs: list[Path]  # files and folders that it writes

    @property
    def artifacts(self) -> list[Path]:
        """Dependencies that have a manifest, or are a part of what has one."""
        return [path for path in self.dependencies if is_artifact(path)]

    @cached_property
    def files(self) -> dict[str, str]:
        """Hash of every dependency when it was first asked for, by path. Raises ArtifactError: one is missing."""
        return {path.as_posix(): content_hash(path) for path in self.dependencies}

    def fingerprint(self) -> str:
        """Hash of the command, the entry in the plan and the content of every dependency. Raises ArtifactError: a
        dependency is missing."""
        content = {"command": self.command, "entry": self.entry, "dependencies": self.files}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def check(self) -> None:
        """Compare with what is there now. Raises ChangedError: something is different; with the names of all that
        is."""
        if lines := self._differences():
            raise ChangedError(
                "\n  ".join([f"{self.name}: what it depends on was edited while it ran:", *lines])
                + "\nNothing is recorded, and its outputs are removed. Put it back and run the stage again: it goes on "
                "from what it has saved, and a training that was through ends at once. Or run it as it is now: it "
                "begins anew."
            )

    def check_code(self, since: float) -> None:
        """Whether code was edited between the start of the process and now, while it was imported.

        A time that has not come yet, as some archives give to files, says nothing. Raises ChangedError: it was; with
        the names of the files."""
        edited = [path for path in self.code if since < Path(path).stat().st_mtime <= time.time()]
        if edited:
            raise ChangedError(f"{self.name}: edited while it started: {', '.join(edited)}; run it again")

    def _differences(self) -> list[str]:
        name, _, key = self.name.partition("@")
        try:
            now = read_declaration(name, key or None)
            before, after = {**self.code, **self.files}, {**now.code, **now.files}
            if started_by_dvc() and now.entry == self.entry:
                check_plan(self.name, self.entry)
        except (LaddError, OSError) as error:
            return [str(error)]
        lines = [f"command: {self.command} -> {now.command}"] if self.command != now.command else []
        old, new = ({**each.entry, "code": None} for each in (self, now))
        lines += [f"{place}: {before} -> {after}" for place, before, after in changes(old, new)]
        return lines + [
            f"{path}: {'new' if path not in before else 'edited' if path in after else 'gone'}"
            for path in sorted(before.keys() | after.keys())
            if before.get(path) != after.get(path)
        ]


def read_declaration(name: str, key: str | None, folder: Path = Path()) -> Declaration:
    """The declaration of stage ``name``, or of ``name@key`` where it has keys, by the settings and the code of now.
    Raises ConfigError: dvc.yaml has no such stage, or params.yaml no such key, or is not valid."""
    suite, pipeline = load_suite(folder / "params.yaml"), read_yaml(folder / "dvc.yaml")
    stages = pipeline.get("stages", {}) if isinstance(pipeline, dict) else {}
    if name not in stages or name not in PLANNED:
        raise ConfigError(f"dvc.yaml has no stage {name!r}; it has {sorted(stages)}")
    if (key or ALL) not in (keys := keys_of(suite, name)):
        raise ConfigError(f"{' or '.join(PLANNED[name].blocks)} in params.yaml has no {key!r}; it has {sorted(keys)}")
    code = Code(folder / suite.root, folder)
    with suite_folder(folder):
        entry, modules = entry_of(suite, code, name, key or ALL), modules_of(suite, name, key or ALL)
    files = code.files(modules, besides=PLANNED[name].besides, without=PLANNED[name].without)
    stage, values = stages[name].get("do", stages[name]), {"key": key, "item": entry}
    outputs = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return Declaration(
        name=name if key is None else f"{name}@{key}",
        command=_fill(stage["cmd"], values),
        entry=entry,
        code={_place(suite.root, file): digest for file, digest in files.items()},
        dependencies=[Path(_fill(path, values)) for path in stage.get("deps", [])],
        outputs=[Path(_fill(next(iter(o)) if isinstance(o, dict) else o, values)) for o in outputs],
    )


def _place(root: str, file: str) -> str:
    """Path from the folder of the suite to a file of `Code`: its own modules lie there, all others below the root."""
    return (Path(root) / file).as_posix() if "/" in file else file


def _fill(template: str, values: Any) -> str:
    return re.sub(r"\$\{(key|item)\.?(\w*)\}", lambda m: str(values[m[1]][m[2]] if m[2] else values[m[1]]), template)
