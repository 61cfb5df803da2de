"""`ladd --version`, runs, schema, completion, and words that are nearly right."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest

from ladd.cli import main
from ladd.config.schema import schema
from ladd.tracking import Experiment, TrackedRun
from ladd.yaml_files import read_yaml
from tests.builders import suite_values
from tests.stages.tiny import REPOSITORY, write_params

SUITES = [path.parent for path in (REPOSITORY / "params.yaml", *sorted(REPOSITORY.glob("suites/*/params.yaml")))]
SUITES += [REPOSITORY / "docs/extending"]


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert (end.value.code, capsys.readouterr().out) == (0, "ladd 0.1.0\n")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["generat", "mdlm"], "did you mean 'generate'"),
        (["generate", "mdlm", "--tempratur", "2"], "did you mean '--temperature'"),
        (["compare", "--source", "dvcs"], "did you mean 'dvc'"),
    ],
)
def test_nearest_word_is_named(arguments, meant, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert meant in capsys.readouterr().err


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: folder.name)
def test_every_suite_fits_the_schema(folder):
    jsonschema.validate(read_yaml(folder / "params.yaml"), schema(folder))


def test_an_entry_that_was_taken_over_may_be_taken_away():
    jsonschema.validate({"latents": {"di": None}, "models": {"di": None}, "sweeps": {"di": None}}, schema(REPOSITORY))


def test_settings_of_a_sampler_within_a_sampler_fit_the_schema():
    tokens = {"schedule": "remdm-cap", "remask": 0.1}
    jsonschema.validate({"sweeps": {"a": {"schedule": "latents-first", "tokens": tokens}}}, schema(REPOSITORY))


@pytest.mark.parametrize(
    "wrong",
    [
        {"sede": 1},
        {"sweeps": {"a": {"schedule": "latents-first", "tokens": {"schedule": "remdm-cap", "remsk": 0.1}}}},
        {"defaults": {"models": {"training": {"optimiser": {"kind": "muon", "speed": 1}}}}},
        {"seed": "one"},
        {"sweeps": {"mdlm": {"model": "mdlm", "token_step": [1]}}},
        {"defaults": {"models": {"netwrok": {}}}},
        {"data": {"saw": {"kind": "sawtoth"}}},
        {"baselines": {"mdlm": {"family": "mdlm", "network": {"width": 0}}}},
    ],
)
def test_schema_refuses_what_is_wrong(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema(REPOSITORY))


def test_command_prints_the_schema(tmp_path, capsys):
    assert main(["schema", "--suite", str(tmp_path)]) == 0
    assert "sweeps" in json.loads(capsys.readouterr().out)["properties"]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script_of_the_shell(shell, capsys):
    assert main(["completion", shell]) == 0
    text = capsys.readouterr().out
    assert "--temperature" in text
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


@pytest.fixture
def tracked(tmp_path, monkeypatch) -> Path:
    """A suite with two runs of one stage, of which the second is current."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    write_params(tmp_path, suite_values() | {"root": "."})
    for fingerprint in ("old", "new"):
        tags = {"suite": "tiny", "dvc.stage": "baseline@mdlm"}
        with TrackedRun(tmp_path, suite="tiny", name="mdlm", fingerprint=fingerprint, parameters={}, tags=tags):
            pass
    Experiment(tmp_path, "tiny").mark({"baseline@mdlm": "new"})
    return tmp_path


def test_runs_are_listed(tracked, capsys):
    assert main(["runs", "--suite", str(tracked)]) == 0
    header, line, hidden = capsys.readouterr().out.splitlines()
    assert header.split() == ["run", "stage", "state", "status", "started", "minutes", "commit"]
    assert line.split()[1:4] == ["baseline@mdlm", "current", "finished"]
    assert line.endswith("none")  # no commit: the folder is no repository
    assert hidden == "1 superseded: --all shows them"
    assert main(["runs", "--suite", str(tracked), "--all"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_runs_without_a_database_are_an_error(tmp_path, monkeypatch, capsys):
    write_params(tmp_path, suite_values() | {"root": "."})
    assert main(["runs", "--suite", str(tmp_path)]) == 1
    assert "there is no " in capsys.readouterr().err
