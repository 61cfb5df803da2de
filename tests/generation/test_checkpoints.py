"""`ladd generate` finds the checkpoints that MLflow knows, and refuses those that are not there or not the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file

import ladd
from ladd.config import Suite
from ladd.diffusion.noise import SampleNoise, derive
from ladd.errors import ArtifactError, ConfigError
from ladd.files import file_hash
from ladd.generation import Request, generate
from ladd.samplers.ancestral import Ancestral
from ladd.samplers.base import sample
from ladd.systems.base import System
from ladd.tracking import TrackedRun
from tests.generation.suites import tokens_of


@pytest.fixture
def logged(suite):
    """URIs of the run of baseline@mdlm and of its checkpoints, by step."""
    client = MlflowClient(tracking_uri=f"sqlite:///{Path('../../.mlflow/mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("tiny").experiment_id
    models = client.search_logged_models([experiment])
    uris = {int(model.tags["step"]): f"models:/{model.model_id}" for model in models}
    (run,) = {model.source_run_id for model in models}
    return {"run": f"runs:/{run}", **uris}


def step_of(step: int) -> Path:
    return next(path for path in Path("artifacts/models/mdlm/checkpoints").iterdir() if int(path.stem[5:]) == step)


def drawn_by_hand(suite: Suite, weights: Path, count: int) -> torch.Tensor:
    """Samples of MDLM in eight steps, straight from the sampler."""
    system = System.of(suite, "mdlm")
    model = system.build().eval()
    model.load_state_dict(load_file(weights))
    noise = SampleNoise(derive(suite.seed, "sample", 3), torch.arange(count))
    start = torch.full((count, 8), 2)
    return sample(Ancestral(source=system.source_of(model), token_steps=8), start, noise).tokens


@pytest.mark.parametrize(("name", "step"), [(3, 3), (6, 6), ("run", 6)])
def test_checkpoints_are_found_by_uri(suite, logged, name, step):
    samples = generate(suite, Request(logged[name], count=200, seed=3))
    assert samples[0].weights == step_of(step).as_posix()
    assert samples[0].weights_sha256 == file_hash(step_of(step))
    assert [sample.tokens for sample in samples] == drawn_by_hand(suite, step_of(step), 200).tolist()


def test_checkpoints_differ(suite, logged):
    assert (tokens_of(suite, logged[3], count=200) != tokens_of(suite, logged[6], count=200)).any()


@pytest.fixture
def moved():
    """Moves a file aside until the end of the test."""
    places = []

    def move(path: Path) -> None:
        places.append((path.resolve(), path.resolve().with_suffix(".aside")))
        shutil.move(*places[-1])

    yield move
    for path, aside in places:
        shutil.move(aside, path)


def test_checkpoint_that_is_not_on_disk_is_an_error(suite, logged, moved):
    moved(step_of(3))
    with pytest.raises(ArtifactError, match=r"not on disk.*`dvc pull artifacts/models/mdlm` or `dvc repro baseline@"):
        generate(suite, Request(logged[3]))


def test_checkpoint_of_other_bytes_is_an_error(suite, logged, moved):
    path = step_of(3)
    moved(path)
    shutil.copy(step_of(6), path)
    with pytest.raises(ArtifactError, match=f"has sha256 {file_hash(path)}, but {logged[3]} was logged with"):
        generate(suite, Request(logged[3]))


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("runs:/0123", "runs:/0123 is not in sqlite:"),
        ("models:/m-0123", "models:/m-0123 is not in sqlite:"),
        ("models:/name/1", "write runs:/RUN_ID"),
        ("runs:/0123/path", "write runs:/RUN_ID"),
    ],
)
def test_unknown_uris_are_errors(suite, uri, message):
    with pytest.raises((ArtifactError, ConfigError), match=message):
        generate(suite, Request(uri))


def test_run_of_another_suite_is_an_error(suite, logged):
    other = suite.model_copy(update={"suite": "other"})
    with pytest.raises(ConfigError, match=r"is of suite 'tiny', and this is 'other'.*--suite"):
        generate(other, Request(logged["run"]))


def test_model_that_is_no_longer_in_the_suite_is_an_error(suite, logged):
    fewer = {key: baseline for key, baseline in suite.baselines.items() if key != "mdlm"}
    with pytest.raises(ConfigError, match=r"baseline@mdlm, but this suite has only \['ar', 'untrained'\]"):
        generate(suite.model_copy(update={"baselines": fewer}), Request(logged["run"]))


@pytest.mark.parametrize(("stage", "checkpoints"), [("stage1@discrete", 1), ("measure@mdlm", 0)])
def test_runs_that_give_no_text_are_errors(suite, stage, checkpoints):
    tags = {"suite": "tiny", "dvc.stage": stage}
    described = {"name": "c", "path": "a/b/c", "sha256": "0", "step": 1, "metrics": {}}
    root = Path(suite.root)
    with TrackedRun(root, suite="elsewhere", name=stage, fingerprint=stage, parameters={}, tags=tags) as run:
        run.log_checkpoints([described] * checkpoints)
    message = f"is of {stage}, which gives no text" if checkpoints else "has no checkpoint"
    with pytest.raises((ArtifactError, ConfigError), match=message):
        generate(suite, Request(f"runs:/{run.run_id}"))


def test_missing_database_is_an_error_and_is_not_made(suite, tmp_path):
    with pytest.raises(ArtifactError, match="MLFLOW_TRACKING_URI"):
        generate(suite.model_copy(update={"root": str(tmp_path)}), Request("runs:/0123"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "step"), [(3, 3), ("run", 6)])
def test_checkpoints_are_loaded_in_python_from_any_directory(
    suite, sawtooth, logged, name, step, tmp_path, monkeypatch
):
    expected = drawn_by_hand(suite, step_of(step), 20).tolist()
    monkeypatch.chdir(tmp_path)
    assert ladd.load(logged[name], suite=sawtooth).sample(20, seed=3).tokens.tolist() == expected
