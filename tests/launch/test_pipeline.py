"""Copies of dvc.yaml: what DVC and git can compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ladd.launch.pipeline import HEADER, main, write_pipeline
from tests.builders import suite_values
from tests.launch.repository import PIPELINE
from tests.stages.tiny import commit, environment, write_params


def test_dvc_compares_the_parameters_of_a_suite_with_those_of_a_commit(repository):
    folder, values = repository / "suites/mine", suite_values() | {"suite": "mine"}
    write_pipeline(repository, folder)
    write_params(folder, values)
    commit(repository)
    values["sweeps"]["di-seq"]["temperature"] = 0.5
    write_params(folder, values)
    command = [sys.executable, "-m", "dvc", "params", "diff", "--json"]
    process = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    changed = {key: row for rows in json.loads(process.stdout).values() for key, row in rows.items()}
    assert changed == {"sweeps.di-seq.temperature": {"old": 1.0, "new": 0.5, "diff": -0.5}}


def test_every_suite_of_the_repository_gets_its_copy(repository, monkeypatch):
    for name in ("one", "two"):
        (repository / "suites" / name).mkdir(parents=True)
        write_params(repository / "suites" / name, suite_values())
    monkeypatch.chdir(repository)
    main()
    assert {path: path.read_text() for path in Path("suites").rglob("dvc.yaml")} == dict.fromkeys(
        [Path("suites/one/dvc.yaml"), Path("suites/two/dvc.yaml")], HEADER + PIPELINE
    )
