"""plan: write plan.json, which says of every stage what it depends on besides files (see `ladd.stages.planned`).

It is the first stage, and DVC runs it each time: it has no dependencies that DVC could record, or a comment in the code
would change dvc.lock. Where no file that it reads was touched it imports nothing and takes a tenth of a second.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from ladd.errors import LaddError, PlanError
from ladd.files import stamp, write_atomically, write_json
from ladd.stages.code import TEMPLATES, Code

KNOWN = Path(".work/plan.json")  # sizes and times of the files that the plan was made of, and its own
PLAN, TOP = Path("plan.json"), "plan"  # JSON, as DVC reads it once for every stage
DIGESTS = "digests"  # of the entries, for dvc.lock: DVC takes seconds to read and write it with all settings
Entry = dict[str, Any]  # values that YAML has
Plan = dict[str, dict[str, Entry]]  # stage -> key -> entry; a stage without keys has one called `ALL`
ALL = "all"
CLAIMS = "claims.yaml"
OF_LATENTS = Path("results/stage1")  # which `compare` reads, and no stage of a suite without latents writes
IN_PATHS = ("data", "latents", "model", "drawn_by", "start", "teacher")  # settings that dvc.yaml fills into paths


def renew_plan(folder: Path = Path()) -> bool:
    """Write the plan of a suite where it is not that of its settings and code.

    Returns:
        Whether the stages or their paths are others than those of the plan that was there.
    Raises:
        ConfigError: the settings are not valid.
    """
    if _is_known(folder):
        return False
    from ladd.config import load_suite  # here, as the classes of settings bring torch
    from ladd.config.inherit import extended_files
    from ladd.registry import suite_folder
    from ladd.stages.planned import make_plan

    settings = folder / "params.yaml"
    suite, old = load_suite(settings), read_plan(folder)
    read = [settings, *extended_files(settings)]
    before = _stamps(folder, suite.root, [os.path.relpath(path, folder) for path in read])
    with suite_folder(folder):
        new = make_plan(suite, Code(folder / suite.root, folder))
    path, text = folder / PLAN, _text(new).encode()
    if not path.is_file() or path.read_bytes() != text:
        write_atomically(path, text)
    if not (latents := bool(suite.latents or suite.codebooks)):
        (folder / OF_LATENTS).mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(OSError):  # where it cannot be kept, the plan is made again
        write_json(folder / KNOWN, before | {"latents": latents, PLAN.name: stamp(folder / PLAN)})
    return old is not None and _paths(old) != _paths(new)


def _is_known(folder: Path) -> bool:
    """Whether no file that the plan was made of, nor the plan itself, was touched since it was written."""
    try:
        known = json.loads((folder / KNOWN).read_text())
        now = _stamps(folder, known["root"], known["settings"])
        now |= {"latents": known["latents"], PLAN.name: stamp(folder / PLAN)}
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return now == known and (known["latents"] or (folder / OF_LATENTS).is_dir())


def _stamps(folder: Path, root: str, settings: list[str]) -> dict[str, Any]:
    """Of the settings and of all code; new files count."""
    code = [path for name in ("*.py", TEMPLATES) for path in (folder / root / "ladd").rglob(name)]
    beside = [*folder.glob("*.py"), *folder.glob(CLAIMS)]
    paths = sorted({os.path.relpath(path, folder) for path in [*code, *beside]} | {*settings})
    return {"root": root, "settings": settings, "files": {path: stamp(folder / path) for path in paths}}


def digest(settings: Entry) -> str:
    """Hash of settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


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
    digests = {stage: {key: digest(entry) for key, entry in entries.items()} for stage, entries in plan.items()}
    stages = []
    for stage, entries in plan.items():
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items())
        stages.append(f"{json.dumps(stage)}: {{\n{lines}\n}}")
    return f'{{"{TOP}": {{\n' + ",\n".join(stages) + f'\n}},\n"{DIGESTS}": {json.dumps(digests, indent=1)}}}\n'


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
