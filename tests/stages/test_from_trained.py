"""Stages that start from what another stage trained: distil@P from a prior, adapt@M from a baseline."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from ladd.config import load_suite
from ladd.files import WEIGHTS
from ladd.networks.adapted import AdaptedDiT
from ladd.stages.declaration import read_declaration
from ladd.stages.planned import keys_of, stages_in_order, trained_by
from ladd.stages.recorded import history_path
from tests.stages.tiny import make_suite, run_here, tiny_values

LATENTS = "co"
KEPT = ("data", "stage1", "prior", "distil", "baseline", "stage2", "adapt", "sample")


def values() -> dict:
    """One model for each of the systems that draw by a prior."""
    found = {name: value for name, value in tiny_values().items() if name != "root"}  # which `make_suite` knows
    latents, prior = found["latents"][LATENTS], found["priors"][LATENTS]
    mdlm = found["baselines"]["mdlm"]
    sweep = next(each for each in found["sweeps"].values() if each["schedule"] == "sequential" and each["prior"])
    shared = {"data": mdlm["data"], "latents": LATENTS, "training": mdlm["training"]}
    channel = {"schedule": prior["schedule"], "times": "independent", "dropout": 0.0}
    few = {"schedule": "sequential-renoised", "prior": "few", "model": "adapted"}
    decoded = {"schedule": "decoded", "prior": LATENTS, "model": "decoder", "latent_steps": 0}
    written = {"schedule": "decoded-ar", "model": "writer"}
    return found | {
        "latents": {LATENTS: latents},
        "priors": {LATENTS: prior, "few": prior | {"teacher": LATENTS, "teacher_steps": 4}},
        "baselines": {"mdlm": mdlm},
        "models": {
            "adapted": shared
            | {"family": "diladiff", "start": "mdlm", "network": mdlm["network"], "readers": 1}
            | {"token_channel": mdlm["token_channel"], "latent_channel": channel},
            "decoder": shared | {"family": "latent-diffusion", "network": latents["denoiser"]},
            "writer": shared | {"family": "latent-diffusion-ar", "network": mdlm["network"]},
        },
        "sweeps": {"few": sweep | few, "decoded": sweep | decoded, "written": sweep | decoded | written},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    folder = make_suite(repository, repository / "suites" / "tiny", values())
    with contextlib.chdir(folder):
        for name, key in stages_in_order(yaml.safe_load(Path("params.yaml").read_text())):
            if name in KEPT:
                run_here(name, key)
        yield folder


def weights(folder: Path, place: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "artifacts" / place / WEIGHTS)


def test_each_key_belongs_to_the_stage_that_its_settings_ask_for(folder):
    suite = load_suite(folder / "params.yaml")
    assert (keys_of(suite, "prior"), keys_of(suite, "distil")) == ([LATENTS], ["few"])
    assert (keys_of(suite, "stage2"), keys_of(suite, "adapt")) == (["decoder", "writer"], ["adapted"])
    assert [trained_by(suite, key) for key in ("mdlm", "decoder", "adapted")] == ["baseline", "stage2", "adapt"]
    assert Path("artifacts/priors/co") in read_declaration("distil", "few", folder).dependencies
    assert Path("artifacts/models/mdlm") in read_declaration("adapt", "adapted", folder).dependencies


def test_what_they_write_is_where_other_stages_look(folder):
    for stage in ("distil@few", "adapt@adapted"):
        assert (folder / history_path(stage)).is_file()
    assert history_path("distil@few").name == "prior-few.csv"
    assert history_path("adapt@adapted").name == "stage2-adapted.csv"
    teacher, student = weights(folder, "priors/co"), weights(folder, "priors/few")
    assert teacher.keys() == student.keys()
    assert not torch.equal(teacher["latent_head.weight"], student["latent_head.weight"])


def test_adapted_model_has_grown_from_its_baseline(folder):
    """After a few steps its weights are near those that it started from, and its encoder is that of Stage 1."""
    start, model = weights(folder, "models/mdlm"), weights(folder, "models/adapted")
    own = {name.removeprefix("denoiser."): value for name, value in model.items() if name.startswith("denoiser.")}
    assert {name for name in own if not AdaptedDiT.is_new(name)} == start.keys()
    for name in ("embedding.weight", "transformer.blocks.0.streams.0.qkv.weight"):
        moved = (own[name] - start[name]).norm() / start[name].norm()
        assert 0 < moved < 0.5
    encoder = {name: value for name, value in weights(folder, f"latents/{LATENTS}").items() if "encoder." in name}
    assert all(torch.equal(model[name], value) for name, value in encoder.items())


def test_samples_are_whole(folder):
    for sweep in ("few", "decoded", "written"):
        files = sorted((folder / "artifacts/samples" / sweep).glob("*.npy"))
        assert files
        assert all(np.isin(np.load(file), [0, 1]).all() for file in files)
