"""`ladd.load`: what the suite draws, from any working directory, and the same again from a folder of weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ladd
from ladd.config import load_suite
from ladd.errors import ArtifactError, ConfigError
from ladd.generation import Request, generate
from ladd.generation.folder import FORMAT
from ladd.stages.artifacts import save_weights
from ladd.stages.manifest import write_manifest
from ladd.systems.base import System
from tests.builders import perturb
from tests.generation.suites import TEXT_TOKENS, tokens_of
from tests.stages.tiny import REPOSITORY

SWEEPS = ["mdlm", "ar", "di-joint", "di-seq", "co-joint", "co-seq"]


def test_import_loads_no_heavy_library_and_names_are_there():
    program = (
        "import sys, ladd\n"
        "assert {'load', 'sample', 'Model'} <= set(dir(ladd))\n"
        "heavy = {'torch', 'numpy', 'pydantic', 'mlflow', 'huggingface_hub'}\n"
        "print(ladd.__version__, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "0.1.0 []\n"
    assert [name for name in ladd.__all__ if not hasattr(ladd, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ladd.nothing  # noqa: B018


@pytest.mark.parametrize("key", SWEEPS)
def test_samples_are_those_of_the_suite_from_any_directory(suite, sawtooth, key, tmp_path, monkeypatch):
    expected = tokens_of(suite, f"sweeps.{key}", count=9, seed=1)
    monkeypatch.chdir(tmp_path)
    drawn = ladd.load(sawtooth / key).sample(9, seed=1, batch=4)
    np.testing.assert_array_equal(drawn.tokens, expected)
    assert drawn.text == ["".join(map(str, row)) for row in expected]
    assert (drawn.token_passes > 0).all()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def saved(sawtooth, tmp_path, monkeypatch):
    """Saves a model of the suite and gives its folder, from which nothing of the suite can be seen."""

    def save(key: str) -> tuple[ladd.Model, Path]:
        model, folder = ladd.load(sawtooth / key), tmp_path / key
        model.save_pretrained(folder)
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        return model, folder

    return save


@pytest.mark.parametrize("key", SWEEPS)
def test_saved_model_gives_the_same_in_another_folder(saved, key):
    model, folder = saved(key)
    again = ladd.load(folder)
    assert "loo-gibbs" not in model.samplers  # of uniform diffusion
    for sampler in model.samplers:
        own = {"tokens": {"schedule": "remdm-cap", "remask": 0.1}} if sampler.startswith("latents-") else {}
        drawn = [each.sample(9, sampler=sampler, seed=1, **own).tokens for each in (model, again)]
        np.testing.assert_array_equal(*drawn)
    np.testing.assert_array_equal(again.sample(9, seed=1).tokens, model.sample(9, seed=1).tokens)
    x = model.sample(5, seed=2).tokens
    bounds = model.bound(x)
    assert bounds
    for name, values in again.bound(x).items():
        np.testing.assert_array_equal(values, bounds[name])
    files = {path.name for path in folder.iterdir()}
    prior = {"prior-continuous.safetensors"} if key.startswith("co") else set()
    assert files == {"README.md", "config.json", "model.safetensors"} | prior
    assert ladd.Model.from_pretrained(str(folder)).key == model.key


def test_files_have_the_mode_of_the_umask(saved):
    before = os.umask(0o027)
    try:
        _, folder = saved("mdlm")
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ("README.md", "config.json", "model.safetensors"), 0o640
    )


def test_saved_again_it_is_the_same_folder(saved, tmp_path):
    _, folder = saved("co-seq")
    ladd.load(folder).save_pretrained(tmp_path / "again")
    for path in folder.iterdir():
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_folder_with_anything_else_is_left_as_it_is(sawtooth, tmp_path):
    (tmp_path / "README.md").write_text("notes")
    with pytest.raises(ConfigError, match=r"is no exported model and holds README\.md"):
        ladd.load(sawtooth / "mdlm").save_pretrained(tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("README.md", "notes")]


def test_replicate_is_saved_under_the_name_of_its_model(suite, sawtooth, tmp_path):
    folder = tmp_path / "suite"
    shutil.copytree(sawtooth, folder, ignore=shutil.ignore_patterns(".work"))
    text = (folder / "params.yaml").read_text().replace("replicates: 1", "replicates: 2")
    (folder / "params.yaml").write_text(text)
    for block in ("models/mdlm",):
        shutil.copytree(folder / f"artifacts/{block}", folder / f"artifacts/{block}_2")
    model = ladd.load(folder / "mdlm_2")
    model.save_pretrained(tmp_path / "saved")
    np.testing.assert_array_equal(ladd.load(tmp_path / "saved").sample(4).tokens, model.sample(4).tokens)
    assert "mdlm_2" not in (tmp_path / "saved/config.json").read_text()


def test_card_says_what_it_is(saved):
    _, folder = saved("di-seq")
    text = (folder / "README.md").read_text()
    for words in ("library_name: ladd", "Di-LADD", "suite tiny", "6 steps of 4 sequences", "10^9 multiply-adds"):
        assert words in text
    assert json.loads((folder / "config.json").read_text())["ladd"]["origin"]["weights_sha256"] in text


# Sampling


def test_steps_and_settings_reach_the_sampler(suite, sawtooth):
    model = ladd.load(sawtooth / "co-joint")
    options = {"token_steps": 3, "eta": 0.5, "temperature": 0.7}
    expected = tokens_of(suite, "co-joint", options=options, count=5)
    np.testing.assert_array_equal(model.sample(5, steps=3, eta=0.5, temperature=0.7).tokens, expected)


@pytest.mark.parametrize("given", ["101", [1, 0, 1], ["10", 1, "1"], ["1", 1, "1"], np.array([1, -1, 1])])
def test_given_tokens_stay(sawtooth, given):
    tokens = ladd.load(sawtooth / "mdlm").sample(6, given=given).tokens
    assert (tokens[:, 0] == 1).all()
    assert (tokens[:, 2] == 1).all() or given == ["10", 1, "1"]
    assert len(np.unique(tokens, axis=0)) > 1


def test_prompt_gives_what_the_command_gives(suite, sawtooth):
    expected = [each.tokens for each in generate(suite, Request("mdlm", count=5, prompt="101"))]
    np.testing.assert_array_equal(ladd.load(sawtooth / "mdlm").sample(5, given="101").tokens, expected)


def test_every_sample_can_be_given_its_own(sawtooth):
    given = np.array([[0, 0], [1, 1], [-1, 1]])
    model = ladd.load(sawtooth / "mdlm")
    tokens = model.sample(3, given=given).tokens
    assert tokens[:2, :2].tolist() == [[0, 0], [1, 1]]
    assert tokens[2, 1] == 1
    np.testing.assert_array_equal(tokens[1], model.sample(3, given=[1, 1]).tokens[1])


def test_callback_sees_every_step(sawtooth):
    seen = []
    drawn = ladd.load(sawtooth / "di-joint").sample(4, steps=5, callback=lambda step, state: seen.append(state.tokens))
    assert len(seen) == 5
    np.testing.assert_array_equal(seen[-1], drawn.tokens)


def test_encode_gives_latents_of_their_shape(sawtooth):
    x = np.random.default_rng(0).integers(0, 2, (7, 8))
    codes, vectors = ladd.load(sawtooth / "di-seq").encode(x), ladd.load(sawtooth / "co-seq").encode(x)
    assert (codes.vectors.shape, codes.codes.shape) == ((7, 2, 4), (7, 2))
    assert set(np.unique(codes.codes)) <= {0, 1, 2}
    assert vectors.codes is None
    np.testing.assert_allclose(np.linalg.norm(vectors.vectors, axis=-1), 2.0, rtol=1e-5)  # sqrt(w)
    strings = ladd.load(sawtooth / "di-seq").encode(["".join(map(str, row)) for row in x])
    np.testing.assert_array_equal(strings.codes, codes.codes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model.sample(4, steps=9), "steps 9: must be at most N = 8"),
        (lambda model: model.sample(0), "n: 0 samples"),
        (lambda model: model.sample(4, sampler="joint"), "sampler joint: 'mdlm' is mdlm; allowed is 'none'"),
        (lambda model: model.sample(4, eta=0.5), "eta: mdlm with schedule 'none'"),
        (lambda model: model.sample(4, heat=2.0), "heat: schedule 'none' has none of its own"),
        (lambda model: model.sample(4, given=np.zeros((3, 8), dtype=int)), r"given: ids of shape \(3, 8\)"),
        (lambda model: model.sample(4, given=[7]), "given: ids from 7 to 7"),
        (lambda model: model.sample(4, given=[0.5]), "whole numbers"),
        (lambda model: model.sample(4, given="0" * 9), "9 tokens"),
        (lambda model: model.encode(np.zeros((1, 8), dtype=int)), "has no latents"),
        (lambda model: model.bound(np.full((1, 8), 2)), "data: ids from 2 to 2"),
        (lambda model: model.bound(["01"]), "a string has 2 tokens; each must have N = 8"),
    ],
)
def test_wrong_calls_are_errors(sawtooth, call, message):
    with pytest.raises(ConfigError, match=message):
        call(ladd.load(sawtooth / "mdlm"))


def test_unknown_names_are_errors(sawtooth, tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"'mdln' is not in suite 'tiny'.*did you mean 'mdlm'"):
        ladd.load(sawtooth / "mdln")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    with pytest.raises(ConfigError, match=r"'weihgts' is neither a folder.*did you mean 'weights'"):
        ladd.load("weihgts")
    with pytest.raises(ConfigError, match="is no folder of a model"):
        ladd.load("weights")
    with pytest.raises(ArtifactError, match="is not trained"):
        ladd.load(sawtooth / "models.untrained-co")


def test_folder_of_another_format_or_damaged_is_an_error(saved):
    _, folder = saved("mdlm")
    config = json.loads((folder / "config.json").read_text())
    config["ladd"]["format"] = FORMAT + 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ArtifactError, match=f"format {FORMAT + 1}, and this version of ladd reads {FORMAT}"):
        ladd.load(folder)
    config["ladd"]["format"] = FORMAT
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "model.safetensors").write_bytes(b"0")
    with pytest.raises(ArtifactError, match=r"model\.safetensors cannot be read"):
        ladd.load(folder)


# Text


def test_saved_model_of_text_has_its_tokenizer(text, text_folder, tmp_path, monkeypatch):
    model = ladd.load(text_folder / "mdlm")
    model.save_pretrained(tmp_path / "saved")
    monkeypatch.chdir(tmp_path)
    again = ladd.load("saved")
    assert again.sample(5).text == model.sample(5).text
    assert again.sample(2, given="the ").text == model.sample(2, given="the ").text
    blocks = ["the people of the United States " * 20, "and so on to the end of the year " * 20]
    bounds = again.bound(blocks)["token_elbo"]
    assert len(bounds) > 1
    assert torch.tensor(bounds).isfinite().all()
    with pytest.raises(ConfigError, match="the strings have"):
        again.bound(["a"])
    assert again.tokens == TEXT_TOKENS


def test_strings_are_packed_as_the_data_are(text, text_folder):
    from ladd.generation.data import sequences
    from ladd.tasks.text.packing import pack

    model = ladd.load(text_folder / "mdlm")
    task, texts = model.task, ["the people of the United States " * 5, "", "and so on to the end of the year " * 5]
    stream = [np.array([*task.encode(each), task.tokenizer.eos]) for each in texts if each]
    expected = pack(
        stream, tokens=TEXT_TOKENS, packing=task.settings.packing, bos=task.tokenizer.bos, eos=task.tokenizer.eos
    )
    np.testing.assert_array_equal(sequences(task, texts), np.concatenate([*expected]))


# Modules of a suite


def test_model_of_a_suites_own_modules_takes_them_along_and_they_want_trust(tmp_path, monkeypatch):
    folder = tmp_path / "suite"
    shutil.copytree(REPOSITORY / "docs/extending", folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(folder)
    own = load_suite()
    key = next(key for key, model in own.baselines.items() if not type(model).__module__.startswith("ladd."))
    weights = Path(f"artifacts/models/{key}")
    weights.mkdir(parents=True)
    save_weights(perturb(System.of(own, key).build()), weights)
    write_manifest(weights, stage="test")
    monkeypatch.chdir(tmp_path)
    model = ladd.load(f"suite/baselines.{key}")
    expected = model.sample(6, steps=3).tokens
    model.save_pretrained("saved")
    shutil.rmtree(folder)
    with pytest.raises(ConfigError, match=r"holds code of its suite .*trust_code=True"):
        ladd.load("saved")
    np.testing.assert_array_equal(ladd.load("saved", trust_code=True).sample(6, steps=3).tokens, expected)
