"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from ladd.cli import main
from ladd.config import load_suite
from ladd.stages.artifacts import save_weights
from ladd.stages.manifest import write_manifest
from ladd.systems.base import System
from tests.builders import perturb, suite_values


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A suite whose baseline "mdlm" has weights."""
    folder = tmp_path_factory.mktemp("suite")
    (folder / "params.yaml").write_text(yaml.safe_dump(suite_values(), sort_keys=False))
    torch.manual_seed(0)
    weights = folder / "artifacts/models/mdlm"
    weights.mkdir(parents=True)
    save_weights(perturb(System.of(load_suite(folder / "params.yaml"), "mdlm").build()), weights)
    write_manifest(weights, stage="test")
    return folder


def run(folder: Path, *arguments: str) -> int:
    return main(["generate", "--suite", str(folder), *arguments])


def test_samples_are_printed_with_a_rule_between_them(folder, capsys):
    assert run(folder, "mdlm", "-n", "3", "--prompt", "101") == 0
    printed = capsys.readouterr()
    samples = printed.out.removesuffix("\n").split("\n---\n")
    assert [(len(sample), sample[:3], set(sample) <= {"0", "1"}) for sample in samples] == 3 * [(8, "101", True)]
    assert printed.err == ""


def test_json_has_one_object_per_line(folder, capsys):
    assert run(folder, "mdlm", "-n", "2", "--template", "{2}1", "--exact", "--steps", "4", "--seed", "7", "--json") == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["sample"], second["sample"]) == (0, 1)
    assert second["text"] == "".join(map(str, second["tokens"]))
    assert (len(second["tokens"]), second["tokens"][2], second["given"]) == (3, 1, [2])
    assert (second["suite"], second["model"], second["family"]) == ("tiny", "mdlm", "mdlm")
    assert (second["settings"]["token_steps"], second["settings"]["seed"]) == (4, 7)
    assert second["weights"] == "artifacts/models/mdlm/weights.safetensors"
    assert len(second["weights_sha256"]) == 64


def test_every_option_reaches_its_setting(folder, capsys):
    options = {"--steps": "5", "--token-lag": "2", "--temperature": "0.5", "--precision": "float32"}
    assert run(folder, "mdlm", "--json", *(word for option in options.items() for word in option)) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    expected = {"token_steps": 5, "token_lag": 2.0, "temperature": 0.5, "precision": "float32"}
    assert {key: settings[key] for key in expected} == expected


def test_a_sampler_takes_settings_of_its_own_and_is_watched(folder, capsys):
    own = ["--sampler", "remdm-cap", "--set", "remask=0.1", "--set", "token_lag=2.0"]
    assert run(folder, "mdlm", *own, "--json", "--watch", "--steps", "3") == 0
    printed = capsys.readouterr()
    sample = json.loads(printed.out)
    expected = {"schedule": "remdm-cap", "remask": 0.1, "token_lag": 2.0, "top_p": 1.0}
    assert expected.items() <= sample["settings"].items()
    assert printed.err.splitlines()[-1].endswith(sample["text"])
    with pytest.raises(SystemExit):
        run(folder, "mdlm", "--set", "remask")
    assert "'remask' is no KEY=VALUE, such as remask=0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--latent-steps", "3"], "--latent-steps: mdlm with schedule 'none'"),
        (["--latent-lead", "3"], "--latent-lead: mdlm"),
        (["--eta", "0.5"], "--eta: mdlm"),
        (["--schedule", "joint"], "--schedule joint"),
        (["--prompt", "101010101"], "9 tokens"),
        (["--template", "{"], "is no gap"),
        (["--template", "{" + "9" * 5000 + "}"], "is no gap"),
        (["--token-lag", "1e30"], "token_lag: 1e+30: Input should be less than or equal to 100"),
        (["--temperature", "1e-320"], "greater than or equal to 0.001"),
        (["--animate", "/dev/null/x"], "/dev/null: File exists; name another place"),
    ],
)
def test_errors_go_to_stderr_with_exit_code_1(folder, capsys, arguments, message):
    assert run(folder, "mdlm", *arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ladd: ")
    assert message in printed.err
    assert "Traceback" not in printed.err


def test_untrained_model_and_unknown_name_are_errors(folder, capsys):
    assert run(folder, "co-seq") == 1
    assert "dvc repro -s stage2@co" in capsys.readouterr().err
    assert run(folder, "nothing") == 1
    assert "'di-joint'" in capsys.readouterr().err


def test_folder_without_a_suite_is_an_error(tmp_path, capsys):
    assert run(tmp_path, "mdlm") == 1
    assert f"{tmp_path / 'params.yaml'} does not exist" in capsys.readouterr().err
    assert run(tmp_path / "nowhere", "mdlm") == 1
    assert "nowhere is no folder" in capsys.readouterr().err
    assert run(tmp_path / ("n" * 5000), "mdlm") == 1
    assert len(capsys.readouterr().err) < 1200


def test_working_directory_is_the_suite_by_default_and_stays(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert main(["generate", "mdlm"]) == 0
    here = capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert run(folder, "mdlm") == 0
    assert capsys.readouterr().out == here
    assert Path.cwd() == tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "NAME"),
        (["mdlm", "--steps", "0"], "--steps: 0 must be at least 1"),
        (["mdlm", "--steps", "x"], "--steps: invalid whole number value: 'x'"),
        (["mdlm", "-n", "0"], "0 must be at least 1"),
        (["mdlm", "--batch", "0"], "0 must be at least 1"),
        (["mdlm", "--latent-steps", "0"], "0 must be at least 1"),
        (["mdlm", "--temperature", "0"], "0 must be above 0"),
        (["mdlm", "--temperature", "nan"], "nan must be finite"),
        (["mdlm", "--token-lag", "inf"], "inf must be finite"),
        (["mdlm", "--latent-lead", "1e999"], "1e999 must be finite"),
        (["mdlm", "--seed", "-1"], "-1 must be at least 0"),
        (["mdlm", "--seed", str(2**63)], f"{2**63} must be at most {2**63 - 1}"),
        (["mdlm", "-n", str(10**18)], f"{10**18} must be at most"),
        (["mdlm", "--batch", "9" * 5000], "9... is too long for a whole number"),
        (["mdlm", "--eta", "1.5"], "1.5 must be at most 1"),
        (["mdlm", "--eta", "-0.5"], "-0.5 must be at least 0"),
        (["mdlm", "--token-lag", "0.5"], "0.5 must be at least 1"),
        (["mdlm", "--latent-lead", "0.5"], "0.5 must be at least 1"),
        (["mdlm", "--precision", "float16"], "float16"),
        (["mdlm", "--prompt", "1", "--template", "1"], "not allowed with"),
        (["mdlm", "--exact"], "needs --template"),
        (["mdlm", "--animate", "/tmp"], "/tmp is a folder; name a file"),
    ],
)
def test_wrong_usage_has_exit_code_2(folder, capsys, arguments, message):
    with pytest.raises(SystemExit) as end:
        run(folder, *arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


def test_help_says_what_latents_see_and_loads_no_heavy_library():
    program = (
        "import sys, ladd.cli\n"
        "try: ladd.cli.main(['generate', '--help'])\n"
        "except SystemExit: pass\n"
        "print('loaded', sorted({'torch', 'numpy', 'mlflow', 'polars', 'tokenizers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded []"
    assert "never sees tokens" in done.stdout
