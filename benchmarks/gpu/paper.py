"""Models of the paper as suites/lm1b, suites/owt and suites/sawtooth-paper have them; a test holds the two equal.

They are written down here because a machine that is lent for a check may lack what reads YAML.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ladd.config import LatentShape, SweepConfig
from ladd.systems.base import Surroundings, System, systems

Plain = dict[str, Any]


@dataclass(frozen=True)
class Data:
    """A data set of a suite, and how models are trained on it."""

    key: str
    tokens: int  # N
    vocabulary: int  # V
    training: Plain


@dataclass(frozen=True)
class Model:
    """Settings of a model but for its data and training, and the shape of its latents."""

    settings: Plain
    shape: LatentShape | None = None


WIDE = {"network": {"width": 1024, "layers": 13, "heads": 16, "condition": 256, "dropout": 0.1}}
PAIR = {"network": {"width": 768, "layers": 12, "heads": 12, "condition": 128, "dropout": 0.1}}
CONSTANT = {"token_channel": {"weight": "constant"}}
CO = PAIR | CONSTANT | {"family": "co-ladd", "latent_channel": {"schedule": "sqrt", "times": "shared", "dropout": 0.15}}
DI = PAIR | CONSTANT | {"family": "di-ladd", "latents_first": 0.3, "latent_channel": {"schedule": "linear"}}
SAWTOOTH = {"network": {"width": 64, "layers": 4, "heads": 4, "condition": 32}}
# Of the text models.
TEXT: Plain = {"batch": 512, "learning_rate": 3e-4, "weight_decay": 0.03, "warmup": 2500, "ema": 0.9999}
TEXT |= {"executor": {"precision": "bfloat16", "compile": True}}
LM1B = {"steps": 150_000, "validate_every": 2500, "checkpoint_every": 25_000}
OWT = {"steps": 500_000, "validate_every": 5000, "checkpoint_every": 50_000}
TOY = {"steps": 20_000, "validate_every": 250, "checkpoint_every": 2500, "batch": 2048, "learning_rate": 3e-4}
TOY |= {"weight_decay": 0.03, "warmup": 500, "ema": 0.99}

DATA = {
    "lm1b": Data("lm1b", 128, 151669, TEXT | LM1B),
    "owt": Data("owt", 512, 151669, TEXT | OWT),
    "sawtooth-paper": Data("sawtooth", 128, 2, TOY),
}
MODELS = {
    "lm1b/mdlm": Model(WIDE | CONSTANT | {"family": "mdlm"}),
    "lm1b/ar": Model(WIDE | {"family": "ar"}),
    "lm1b/co-128": Model(CO | {"latents": "qwen3/aligned"}, LatentShape(128, 32, None, True)),
    "lm1b/co-32": Model(CO | {"latents": "qwen3/chunks-32"}, LatentShape(32, 32, None, True)),
    "lm1b/di-32": Model(DI | {"latents": "di-32"}, LatentShape(32, 128, 2048, True)),
    "owt/mdlm": Model(WIDE | CONSTANT | {"family": "mdlm"}),
    "owt/co-64": Model(CO | {"latents": "qwen3/chunks-64"}, LatentShape(64, 32, None, True)),
    "owt/di-16": Model(DI | {"latents": "di-16"}, LatentShape(16, 128, 8192, True)),
    "sawtooth-paper/mdlm": Model(SAWTOOTH | {"family": "mdlm", "token_channel": {"schedule": "linear"}}),
}
SMALL = {"width": 32, "layers": 2, "heads": 2, "condition": 16, "dropout": 0.0}


def system(name: str, *, small: bool = False) -> System:
    """A model of the paper, SUITE/KEY.

    Args:
        name: of `MODELS`.
        small: the same with a tiny network on few tokens, without dropout.
    """
    suite, _, _ = name.partition("/")
    data, model = DATA[suite], MODELS[name]
    tokens, vocabulary, training = data.tokens, data.vocabulary, data.training
    shape, settings = model.shape, model.settings
    if small:
        tokens, vocabulary, settings = 16, min(50, vocabulary), settings | {"network": SMALL}
        training = training | {"batch": 8}
        if shape is not None:
            shape = LatentShape(4, 8, 16 if shape.codebook else None, True)
    kind = systems()[settings["family"]]
    checked = kind.Settings.model_validate({"data": data.key, "training": training, **settings})
    return kind(checked, Surroundings(vocabulary, tokens, shape))


def sweep(name: str, schedule: str = "none", latent_steps: int = 0) -> SweepConfig:
    """How a model of `MODELS` is sampled, but for the token steps."""
    suite, _, key = name.partition("/")
    return SweepConfig(
        model=key,
        data=DATA[suite].key,
        schedule=schedule,
        latent_steps=latent_steps,
        token_steps=[1],
        samples=2,
        seeds=[0],
    )
