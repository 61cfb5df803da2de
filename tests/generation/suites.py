"""Small suites to generate from, and weights that have learned nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from ladd.config import Suite
from ladd.generation import Request, generate
from ladd.latents.prior import build_prior
from ladd.launch.overrides import read_values
from ladd.stages.artifacts import save_weights
from ladd.stages.manifest import write_manifest
from ladd.systems.base import System
from tests.builders import perturb, suite_values
from tests.stages.tiny import REPOSITORY

MODELS = ["mdlm", "ar", "di", "co"]
TEXT_TOKENS = 16


def values_with_every_knob() -> dict:
    """The small suite, with a sweep whose options are all away from their defaults, and models without weights."""
    values = suite_values()
    odd = {"token_lag": 2.0, "latent_lead": 3.0, "eta": 0.7, "temperature": 0.6}
    values["sweeps"]["co-joint"] = (
        values["sweeps"]["co-seq"] | odd | {"schedule": "joint", "latent_steps": 0, "prior": None}
    )
    for sweep in values["sweeps"].values():
        sweep["precision"] = "float32"  # one for all, as samples are compared
    values["baselines"]["untrained"] = values["baselines"]["mdlm"]
    values["models"]["untrained-co"] = values["models"]["co"]
    return values


def write_weights(suite: Suite, key: str) -> None:
    """Weights of a model that has learned nothing but depends on all its inputs."""
    torch.manual_seed(MODELS.index(key))
    _write(System.of(suite, key).build(), f"artifacts/models/{key}")
    for prior in suite.priors_of(suite.model(key).latents_name):
        _write(
            build_prior(suite.priors[prior], suite.latent_shape(suite.priors[prior].latents)),
            f"artifacts/priors/{prior}",
        )


def _write(model: nn.Module, path: str) -> None:
    folder = Path(path)
    folder.mkdir(parents=True)
    save_weights(perturb(model), folder)
    write_manifest(folder, stage="test")


def text_values(tokens: int, packing: str, vocabulary: int) -> dict:
    values = suite_values()
    demo = read_values(REPOSITORY / "suites/text-demo/params.yaml")
    (data,) = demo["data"].values()
    tokenizer = {"kind": "bpe", "vocabulary": vocabulary}
    values["data"]["saw"] = data | {"tokens": tokens, "packing": packing, "tokenizer": tokenizer, "zero_shot": {}}
    values["sweeps"]["ar"]["token_steps"] = [tokens]
    reference = {key: values["evaluation"]["reference"][key] for key in ("samples", "seeds")}
    values["evaluation"] = demo["evaluation"] | {"reference": reference}
    return values


def tokens_of(suite: Suite, name: str, **request) -> np.ndarray:
    return np.array([sample.tokens for sample in generate(suite, Request(name, **request))])
