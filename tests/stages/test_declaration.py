"""What is read from dvc.yaml, and what the fingerprint of a stage depends on."""

from pathlib import Path

import pytest

from ladd.errors import ArtifactError, ConfigError
from ladd.stages.declaration import read_declaration

PIPELINE = """
stages:
  train:
    foreach: ${models}
    do:
      cmd: python -m train ${key} --rate ${item.optimiser.rate}
      deps: ["artifacts/data/${item.data}", "${root}/code"]
      params: [seed, "models.${key}"]
      outs: ["artifacts/models/${key}"]
      metrics: ["results/${key}.json": {cache: false}]
      plots: ["results/${key}.csv": {cache: false, x: step}]
  compare:
    cmd: python -m compare
    deps: [results, code]
    params: [seed]
    outs:
      - results.csv: {cache: false}
"""
PARAMETERS = """
root: ../..
seed: 3
other: 1
models:
  small-1: {data: saw, optimiser: {rate: 0.1}}
  large: {data: saw, optimiser: {rate: 0.2}}
"""


@pytest.fixture
def pipeline(tmp_path, monkeypatch):
    """A suite with every form of declaration, in place of the working directory."""
    folder = tmp_path / "suites" / "one"
    for path in ("suites/one/artifacts/data/saw", "suites/one/results", "suites/one/code", "code"):
        (tmp_path / path).mkdir(parents=True)
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text(PARAMETERS)
    (folder / "artifacts/data/saw/manifest.json").write_text("{}")
    (tmp_path / "code/train.py").write_text("pass\n")
    monkeypatch.chdir(folder)
    return folder


def change(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def fingerprint() -> str:
    return read_declaration("train", "small-1").fingerprint()


def test_templates_of_a_foreach_stage_are_filled(pipeline):
    stage = read_declaration("train", "small-1")
    assert stage.name == "train@small-1"
    assert stage.command == "python -m train small-1 --rate 0.1"
    assert stage.dependencies == [Path("artifacts/data/saw"), Path("../../code")]
    assert stage.parameters == {"seed": 3, "models.small-1": {"data": "saw", "optimiser": {"rate": 0.1}}}


def test_outputs_are_those_of_all_kinds_without_their_options(pipeline):
    paths = ["artifacts/models/large", "results/large.json", "results/large.csv"]
    assert read_declaration("train", "large").outputs == [Path(path) for path in paths]


def test_stage_without_foreach_has_no_key(pipeline):
    stage = read_declaration("compare", None)
    assert (stage.name, stage.command, stage.outputs) == ("compare", "python -m compare", [Path("results.csv")])


def test_inputs_are_what_other_stages_wrote(pipeline):
    assert read_declaration("train", "large").inputs == [Path("artifacts/data/saw")]
    assert read_declaration("compare", None).inputs == [Path("results")]


def test_unknown_stage_is_named_with_those_that_exist(pipeline):
    with pytest.raises(ConfigError, match=r"no stage 'tune'.*\['compare', 'train'\]"):
        read_declaration("tune", None)


def test_unknown_key_is_named_with_those_that_exist(pipeline):
    with pytest.raises(ConfigError, match=r"models in params.yaml has no 'huge'.*\['large', 'small-1'\]"):
        read_declaration("train", "huge")


def test_template_without_a_value_is_named(pipeline):
    change(pipeline / "params.yaml", "optimiser: {rate: 0.1}", "optimiser: {}")
    with pytest.raises(ConfigError, match=r"no 'item\.optimiser\.rate'"):
        read_declaration("train", "small-1")


def test_missing_parameter_is_named(pipeline):
    change(pipeline / "params.yaml", "seed: 3", "")
    with pytest.raises(ConfigError, match="no 'seed'"):
        read_declaration("compare", None)


def test_fingerprint_is_the_same_for_the_same_content(pipeline):
    assert fingerprint() == fingerprint()
    assert fingerprint() != read_declaration("train", "large").fingerprint()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("params.yaml", "seed: 3", "seed: 4"),
        ("params.yaml", "rate: 0.1", "rate: 0.3"),
        ("dvc.yaml", "-m train", "-O -m train"),
        ("artifacts/data/saw/manifest.json", "{}", "{ }"),
        ("../../code/train.py", "pass", "..."),
    ],
)
def test_fingerprint_changes_with_what_is_declared(pipeline, file, old, new):
    before = fingerprint()
    change(pipeline / file, old, new)
    assert fingerprint() != before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("params.yaml", "other: 1", "other: 2"),
        ("params.yaml", "rate: 0.2", "rate: 0.3"),
        ("dvc.yaml", "-m compare", "-O -m compare"),
    ],
)
def test_fingerprint_is_blind_to_what_is_not_declared(pipeline, file, old, new):
    before = fingerprint()
    change(pipeline / file, old, new)
    assert fingerprint() == before


def test_fingerprint_needs_every_dependency(pipeline):
    (pipeline / "artifacts/data/saw/manifest.json").unlink()
    with pytest.raises(ArtifactError, match=r"artifacts/data/saw has no manifest\.json"):
        fingerprint()
