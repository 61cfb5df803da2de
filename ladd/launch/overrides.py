"""A launch of a suite with some of its settings changed, in a worktree of its own."""

import difflib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ladd.config import check_suite, load_suite
from ladd.config.inherit import CLAIMS
from ladd.config.messages import changes, cut, shown
from ladd.errors import ConfigError
from ladd.git import main_checkout
from ladd.launch.confine import check_assets, check_name
from ladd.launch.pipeline import hand_over, prepare
from ladd.launch.run import Runner
from ladd.launch.worktree import LAUNCH_VARIABLE, worktree
from ladd.yaml_files import write_yaml

Values = dict[str, Any]  # of params.yaml, or of a block of it
LAUNCHES = Path(".work/launches")  # below the main checkout: results for reading
FIXED = ("root", "suite")  # where a suite is and what it is called
NEAREST = 3  # names that are offered instead of an unknown one


def read_values(path: Path) -> Values:
    """All settings of a valid params.yaml, with what it takes over and with all defaults. Raises ConfigError: the
    file is not there or not valid."""
    return load_suite(path).written.model_dump(mode="json")


def unshared(values: Values) -> Values:
    """A copy in which a change at one place changes no other: YAML makes one object of all that name an anchor."""
    return json.loads(json.dumps(values))


def difference(old: Values, new: Values) -> list[str]:
    """What a change of values comes to, as lines `key: old -> new`."""
    return [f"{key}: {before} -> {after}" for key, before, after in changes(old, new)]


@dataclass(frozen=True)
class Plan:
    """A launch that is checked and has not run."""

    name: str  # of the launch, its worktree and its results
    values: Values  # the whole params.yaml that will run
    difference: list[str]  # from the suite's own, as lines `key: old -> new`


def apply_overrides(values: Values, overrides: Mapping[str, Any], name: str) -> Values:
    """Values with others at dotted keys; the whole is checked, the arguments stay as they are. Raises ConfigError:
    there is no such key, or the result is not a valid suite. ``overrides``: such as {"sweeps.di-seq.temperature":
    0.9}."""
    changed = check_suite(values, name).model_dump(mode="json")  # has the keys that a suite may leave out
    for key, value in overrides.items():
        _check_key(key, changed)
        *path, last = key.split(".")
        block = changed
        for part in path:
            block = block[part]
        block[last] = value
    check_suite(changed, f"{name} with {', '.join(overrides)}" if overrides else name)
    return unshared(changed)


def _check_key(key: str, known: Any) -> None:
    if key in FIXED:
        raise ConfigError(f"{key}: it says where the suite is or what it is called, a launch cannot change it")
    parts = key.split(".")
    for depth, part in enumerate(parts):
        place = ".".join(parts[:depth]) or "params.yaml"
        if not isinstance(known, dict):
            raise ConfigError(f"{cut(key)}: {place} is {shown(known)} and has no keys; give {place} a whole value")
        if part not in known:
            nearest = difflib.get_close_matches(part, known, NEAREST, cutoff=0.5) or sorted(known)
            raise ConfigError(f"{cut(key)}: {place} has no {shown(part)}; the nearest are {nearest}")
        known = known[part]


def plan_overrides(
    root: Path, suite_folder: Path, overrides: Mapping[str, Any], *, name: str | None = None, confined: bool = False
) -> Plan:
    """Check a launch without running it. Raises ConfigError: an unknown key, a wrong value or name, or nothing
    changes. ``name``: of the launch; otherwise that of the suite and a hash of the overrides. ``confined``: an
    override may make no asset of a file outside of the repository."""
    if name is not None:
        check_name(name, "--name")
    path = root / suite_folder / "params.yaml"
    old = read_values(path)
    new = apply_overrides(old, overrides, str(path))
    lines = difference(old, new)
    if not lines:
        raise ConfigError(f"{path} has these values already; `dvc repro` runs it")
    digest = hashlib.sha256(json.dumps(dict(overrides), sort_keys=True).encode()).hexdigest()
    name = name or f"{old['suite']}-{digest[:8]}"
    check_name(name, "launch")
    if confined:
        check_assets(root, old, new)
    return Plan(name, new, lines)


def launch_overrides(root: Path, suite_folder: Path, plan: Plan, run: Runner) -> Path:
    """Run a suite with other settings; the working tree and the suite's own MLflow experiment stay as they are.
    Returns the folder with params.yaml, dvc.lock and results/, which is called like the launch.

    What it computes stays in DVC's cache: with the same values in params.yaml, `dvc repro` restores it. Raises
    ConfigError, LaunchError, BusyError: before anything runs. StageError: a stage failed; the worktree stays, and
    the same launch goes on."""
    source = (root / suite_folder).resolve()
    with worktree(root, plan.name) as tree:
        folder = tree.path / source.relative_to(root.resolve())
        (folder / CLAIMS).unlink(missing_ok=True)  # they are about the settings as they are, and may not fit others
        prepare(source, folder, write_yaml(plan.values), tree)
        run(folder, {**tree.environment, LAUNCH_VARIABLE: plan.name})
        kept = main_checkout(root) / LAUNCHES / plan.name
        hand_over(folder, kept, ("params.yaml", "dvc.lock", "results"))
    return kept
