"""What dvc.yaml declares about a stage: it is the only place where inputs, parameters and outputs are listed."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladd.errors import ConfigError
from ladd.stages.manifest import content_hash, is_artifact, source_hashes
from ladd.yaml_files import read_yaml

_WORD = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)  # of a command; nothing in it means anything to a shell


@dataclass(frozen=True)
class Declaration:
    """One stage of dvc.yaml with its templates filled in.

    Attributes:
        name: for example "stage2@di-ladd".
        command: as DVC runs it.
        parameters: dotted key -> value in params.yaml.
        dependencies: files and folders that the stage reads, code included.
        outputs: files and folders that it writes.
    """

    name: str
    command: str
    parameters: dict[str, Any]
    dependencies: list[Path]
    outputs: list[Path]

    @property
    def inputs(self) -> list[Path]:
        """Dependencies that other stages wrote."""
        return [path for path in self.dependencies if path.parts[0] in ("artifacts", "results")]

    @property
    def artifacts(self) -> list[Path]:
        """Those of them that have a manifest, or are a part of what has one."""
        return [path for path in self.dependencies if is_artifact(path)]

    def files(self) -> dict[str, str]:
        """Hash of every file of the dependencies, by path; an output with a manifest, or a part of one, is one entry.

        Raises:
            ArtifactError: a dependency is missing.
        """
        found: dict[str, str] = {}
        for path in self.dependencies:
            if path.is_dir() and not is_artifact(path):
                found |= {(path / name).as_posix(): digest for name, digest in source_hashes(path)}
            else:
                found[path.as_posix()] = content_hash(path)
        return found

    def fingerprint(self) -> str:
        """Hash of the command, the parameters and the content of every dependency.

        Raises:
            ArtifactError: a dependency is missing.
        """
        content = {
            "command": self.command,
            "parameters": self.parameters,
            "dependencies": {path.as_posix(): content_hash(path) for path in self.dependencies},
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_declaration(name: str, key: str | None, folder: Path = Path()) -> Declaration:
    """The declaration of stage ``name``, or of ``name@key`` where it is a foreach stage.

    Raises:
        ConfigError: dvc.yaml has no such stage, or params.yaml no such key; or they are no YAML with names and values.
    """
    parameters, stages = _mapping(folder / "params.yaml"), _mapping(folder / "dvc.yaml").get("stages", {})
    if name not in stages:
        raise ConfigError(f"dvc.yaml has no stage {name!r}; it has {sorted(stages)}")
    stage, values = stages[name], dict(parameters)
    if "foreach" in stage:
        block = _lookup(parameters, stage["foreach"].strip("${}"))
        if not isinstance(block, dict) or key not in block:
            known = sorted(map(str, block)) if isinstance(block, dict) else block
            raise ConfigError(f"{stage['foreach'].strip('${}')} in params.yaml has no {key!r}; it has {known}")
        values |= {"key": key, "item": block[key]}
        stage = stage["do"]
    outputs = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
    return Declaration(
        name=name if key is None else f"{name}@{key}",
        command=_fill(stage["cmd"], values),
        parameters={k: _lookup(parameters, k) for k in (_fill(p, values) for p in stage.get("params", []))},
        dependencies=[Path(_fill(d, values)) for d in stage.get("deps", [])],
        outputs=[Path(_fill(next(iter(o)) if isinstance(o, dict) else o, values)) for o in outputs],
    )


def check_keys(folder: Path) -> None:
    """Refuse keys of foreach stages that a shell would not take for a word: DVC puts them into commands as they are.

    It knows no other setting, so that it also does for a params.yaml of another version.

    Args:
        folder: of a suite.
    Raises:
        ConfigError: naming the block and the key.
    """
    parameters, stages = _mapping(folder / "params.yaml"), _mapping(folder / "dvc.yaml").get("stages", {})
    for stage in stages.values():
        entries = stage.get("foreach", [])
        for key in (_lookup(parameters, entries.strip("${}")) if isinstance(entries, str) else entries) or []:
            if not _WORD.fullmatch(str(key)):
                raise ConfigError(
                    f"{folder / 'params.yaml'}: {stage['foreach']} has the key {key!r}; write it with letters, digits "
                    "and dashes alone: it goes into a command"
                )


def _mapping(path: Path) -> dict[str, Any]:
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no names with values")
    return values


def _lookup(values: dict, dotted: str) -> Any:
    for part in dotted.split("."):
        try:
            values = values[part]
        except (KeyError, TypeError):
            raise ConfigError(f"params.yaml has no {dotted!r}") from None
    return values


def _fill(template: str, values: dict) -> str:
    return re.sub(r"\$\{([\w.-]+)\}", lambda match: str(_lookup(values, match[1])), template)
