"""Copies of dvc.yaml: what DVC and git can compare."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ladd.launch.pipeline import HEADER, main, write_pipeline
from ladd.stages.plan import read_plan, renew_plan
from tests.builders import suite_values
from tests.launch.repository import PIPELINE
from tests.stages.tiny import REPOSITORY, commit, environment, write_params


@pytest.fixture
def whole(repository) -> Path:
    """The repository with all of the code, which plans read."""
    shutil.copytree(
        REPOSITORY / "ladd", repository / "ladd", dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    return repository


def test_dvc_compares_the_settings_of_a_suite_with_those_of_a_commit(whole):
    folder, values = whole / "suites/mine", suite_values() | {"suite": "mine"}
    write_pipeline(whole, folder)
    (whole / "plan.json").write_text('{"plan": {}}')
    (whole / "dvc.yaml").unlink()
    write_params(folder, values)
    renew_plan(folder)
    commit(whole)
    values["sweeps"]["di-seq"]["temperature"] = 0.5
    write_params(folder, values)
    renew_plan(folder)
    command = [sys.executable, "-m", "dvc", "params", "diff", "--json"]
    process = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    changed = {key: row for rows in json.loads(process.stdout).values() for key, row in rows.items()}
    assert changed["plan.sample.di-seq.temperature"] == {"old": 1.0, "new": 0.5, "diff": -0.5}
    assert {key.split(".")[1] for key in changed if key.startswith("plan.")} == {"sample", "measure", "compare"}


def test_every_suite_of_the_repository_gets_its_copy_and_its_plan(whole, monkeypatch):
    for name in ("one", "two"):
        (whole / "suites" / name).mkdir(parents=True)
        write_params(whole / "suites" / name, suite_values())
    monkeypatch.chdir(whole)
    main()
    assert {path: path.read_text() for path in Path("suites").rglob("dvc.yaml")} == dict.fromkeys(
        [Path("suites/one/dvc.yaml"), Path("suites/two/dvc.yaml")], HEADER + PIPELINE
    )
    assert read_plan(Path("suites/one")) == read_plan(Path("suites/two")) == read_plan()
