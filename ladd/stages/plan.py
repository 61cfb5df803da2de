"""plan: write plan.json, which says of every stage what it depends on besides files (see `ladd.stages.planned`).

It is the first stage, and DVC runs it each time, in about a second: it has no dependencies that DVC could record, or a
comment in the code would change dvc.lock.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ladd.config import load_suite
from ladd.errors import LaddError, PlanError
from ladd.files import write_atomically
from ladd.registry import suite_folder
from ladd.stages.code import Code
from ladd.stages.planned import ALL, Entry, Plan, make_plan

PLAN, TOP = Path("plan.json"), "plan"  # JSON, as DVC reads it once for every stage
OF_LATENTS = Path("results/stage1")  # which `compare` reads, and no stage of a suite without latents writes
IN_PATHS = ("data", "latents", "model", "drawn_by")  # settings that dvc.yaml fills into paths


def renew_plan(folder: Path = Path()) -> bool:
    """Write the plan of a suite where it is not that of its settings and code.

    Returns:
        Whether the stages or their paths are others than those of the plan that was there.
    Raises:
        ConfigError: the settings are not valid.
    """
    suite, old = load_suite(folder / "params.yaml"), read_plan(folder)
    with suite_folder(folder):
        new = make_plan(suite, Code(folder / suite.root, folder))
    if old != new:
        write_atomically(folder / PLAN, _text(new).encode())
    if not suite.latents and not suite.codebooks:
        (folder / OF_LATENTS).mkdir(parents=True, exist_ok=True)
    return old is not None and _paths(old) != _paths(new)


def read_plan(folder: Path = Path()) -> Plan | None:
    """The plan as DVC finds it; None where there is none, or one that is damaged."""
    path = folder / PLAN
    try:
        return json.loads(path.read_text())[TOP] if path.is_file() else None
    except (ValueError, TypeError, KeyError):
        return None


def check_plan(name: str, entry: Entry) -> None:
    """Whether the plan on the disk, which DVC records, has an entry for a stage, and that one.

    Args:
        name: of the stage, with its key.
        entry: that its settings and code make.
    Raises:
        PlanError: it has not.
    """
    stage, _, key = name.partition("@")
    planned: Any = (read_plan() or {}).get(stage, {})
    if not isinstance(planned, dict) or planned.get(key or ALL) != entry:
        raise PlanError(
            f"{name}: {PLAN} is not that of params.yaml and the code; run `dvc repro plan`, then this again"
        )


def started_by_dvc() -> bool:
    """Whether DVC started this process, and records what it does."""
    return "DVC_STAGE" in os.environ


def _text(plan: Plan) -> str:
    """One entry per line: git shows which are others, and `dvc params diff` what of them."""
    stages = []
    for stage, entries in plan.items():
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items())
        stages.append(f"{json.dumps(stage)}: {{\n{lines}\n}}")
    return f'{{"{TOP}": {{\n' + ",\n".join(stages) + "\n}}\n"


def _paths(plan: Plan) -> dict[str, dict[str, list[Any]]]:
    return {
        stage: {key: [entry.get(name) for name in IN_PATHS] for key, entry in entries.items()}
        for stage, entries in plan.items()
    }


def main() -> None:
    """Entry point of ``python -m ladd.stages.plan``."""
    try:
        if renew_plan() and started_by_dvc():
            sys.exit(f"params.yaml has other stages than {PLAN} had when DVC read it: run the same command again")
    except LaddError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
