"""What training stages wrote, filed under their runs: by the stages, and for outputs that DVC restored."""

import csv
import json
import re
from pathlib import Path
from typing import Any

from ladd.stages.declaration import Declaration
from ladd.stages.manifest import MANIFEST
from ladd.tracking import TrackedRun

_CHECKPOINT = re.compile(r"checkpoints/(step-(\d+))\.safetensors")


FILED_AS = {"distil": "prior", "adapt": "stage2"}  # stages that train some keys of a block in place of another stage


def history_path(stage: str) -> Path:
    """The history of a training, by NAME@KEY; one file for a key, whichever stage trains it."""
    name, _, key = stage.partition("@")
    return Path(f"results/history/{FILED_AS.get(name, name)}-{key}.csv")


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a history, each with the columns that it has a value in."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]


def record_training(declaration: Declaration, run: TrackedRun) -> None:
    """File the curves and the checkpoints of a training; what the run has is not logged again."""
    history = read_history(history_path(declaration.name))
    for row in history:
        run.log_row(row)
    folder = next(path for path in declaration.outputs if path.parts[0] == "artifacts")
    run.log_checkpoints(describe_checkpoints(folder, declaration.name, history))


def describe_checkpoints(folder: Path, stage: str, history: list[dict[str, float]]) -> list[dict[str, Any]]:
    """The checkpoints in an output, by its manifest, each with the metrics of validation at its step."""
    at = {int(row["step"]): row for row in history}
    described = []
    for name, digest in sorted(json.loads((folder / MANIFEST).read_text())["files"].items()):
        if (found := _CHECKPOINT.fullmatch(name)) is None:
            continue
        step = int(found[2])
        described.append(
            {
                "name": f"{stage}-{found[1]}".replace("@", "-"),
                "path": (folder / name).as_posix(),
                "sha256": digest,
                "step": step,
                "metrics": {key: value for key, value in at[step].items() if key.startswith("validation/")},
            }
        )
    return described


def record_codebook(key: str, steps: int, run: TrackedRun) -> None:
    """File how the codes of a codebook are used, at the last step of its fit."""
    report = json.loads(Path(f"results/stage1/{key}.json").read_text())
    run.log({name: value for name, value in report.items() if name != "probabilities"}, steps)
