"""`dvc repro` in a fresh clone leaves `git status` clean: plan, lock and results are those that were committed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ladd.stages.planned import stages_in_order
from tests.stages.test_reproducibility import Repro, clone, make_repository
from tests.stages.tiny import REPOSITORY, commit, git, tiny_values


def one_baseline() -> dict:
    """One model and one sweep, both as small as they can be."""
    values = tiny_values() | {"root": "."}
    empty = {block: {} for block in ("encoders", "latents", "codebooks", "priors", "models")}
    kept = {block: {"mdlm": values[block]["mdlm"]} for block in ("baselines", "sweeps")}
    return values | empty | kept


def committed_results(folder: Path) -> set[str]:
    return set(git(folder, "ls-files", "dvc.lock", "plan.json", "results").split())


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(one_baseline, id="one baseline"),
        pytest.param(lambda: tiny_values() | {"root": "."}, id="all", marks=pytest.mark.slow),
    ],
)
def test_second_clone_computes_what_the_first_has_committed(tmp_path, values):
    origin = make_repository(tmp_path / "origin", values())
    shutil.copy(REPOSITORY / ".gitignore", origin)
    commit(origin)
    one = clone(origin, tmp_path / "one")
    stages = [name if key is None else f"{name}@{key}" for name, key in stages_in_order(values())]
    assert sorted(Repro(one).finish().stages) == sorted(stages)
    assert {"dvc.lock", "results/compare.csv", "results/compare.txt"} <= set(
        git(one, "ls-files", "--others", "--exclude-standard").split()
    )
    commit(one)
    assert {"dvc.lock", "plan.json", "results/compare.csv", "results/evaluate/mdlm.csv"} <= committed_results(one)

    two = clone(one, tmp_path / "two")
    assert not (two / "artifacts").exists()
    assert sorted(Repro(two).finish().stages) == sorted(stages)  # nothing was there to be restored
    assert git(two, "status", "--porcelain") == ""
    assert git(two, "rev-parse", "HEAD") == git(one, "rev-parse", "HEAD")
