"""suites/rivals-shidoku: which systems it sets side by side, of one size, and that they see as many sequences."""

from pathlib import Path

import pytest
from torch import nn

from ladd.config import load_suite
from ladd.latents.prior import build_prior
from ladd.systems.base import System

SUITE = load_suite(Path(__file__).resolve().parents[1] / "suites/rivals-shidoku/params.yaml")
BASELINES = [
    "mdlm",
    "ar",
    "mdlm-uniform",
    "cadd",
    "vadd",
    "dcd",
    "dcd-causal",
    "self-speculative",
    "e-moe",
    "mdlm-start",
]
MODELS = ["di", "di-uniform", "co", "co-uniform", "ccdd", "ccdd-shown", "latent-diffusion", "diladiff"]
SWEEPS = [
    *("mdlm", "di-joint", "co-joint", "co-seq", "di-seq", "di-uniform-joint", "di-uniform-seq", "co-uniform-joint"),
    *("co-uniform-seq", "ccdd-joint", "ccdd-shown-joint", "ar", "mdlm-uniform", "cadd-hard", "cadd-soft", "vadd-fresh"),
    *("vadd-kept", "dcd", "dcd-causal", "self-speculative", "e-moe", "co-few-1", "co-few-2", "co-few-4"),
    *("latent-diffusion", "diladiff-seq"),
]
COMPARED = [key for key in (*BASELINES, *MODELS) if key != "mdlm-start"]
# Embeddings, heads and conditioning by time.
OUTSIDE = ("embedding", "head", "time", "latent_mask", "projection", "table", "mark", "previous", "latent.")


def test_systems_and_sweeps_of_the_suite():
    assert sorted(SUITE.baselines) == sorted(BASELINES)
    assert sorted(SUITE.models) == sorted(MODELS)
    assert sorted(SUITE.sweeps) == sorted(SWEEPS)
    assert {key: getattr(prior, "teacher", None) for key, prior in SUITE.priors.items()} == {"co": None, "co-few": "co"}
    for key, sweep in SUITE.sweeps.items():
        assert sweep.token_steps == ([16] if key == "ar" else [1, 2, 4, 8, 16])
    passes = {key: SUITE.sweeps[key].latent_steps for key in ("co-seq", "co-few-1", "co-few-2", "co-few-4")}
    assert list(passes.values()) == [16, 1, 2, 4]
    assert {sweep.model for sweep in SUITE.sweeps.values()} == set(COMPARED)


def priors_of(key: str) -> list[str]:
    """Priors that a model is drawn with; students come on top."""
    named = {sweep.prior for sweep in SUITE.sweeps.values() if sweep.model == key} - {None}
    return [prior for prior in named if getattr(SUITE.priors[prior], "teacher", None) is None]


def blocks_of(key: str) -> int:
    """Parameters of the blocks of all that is trained for a model and used in it."""
    model: nn.Module = System.of(SUITE, key).build()
    parts = [
        model,
        *(build_prior(SUITE.priors[name], SUITE.latent_shape(SUITE.priors[name].latents)) for name in priors_of(key)),
    ]
    named = [(name, each) for part in parts for name, each in part.named_parameters()]
    return sum(each.numel() for name, each in named if not any(word in name for word in OUTSIDE))


def steps_of(key: str) -> int:
    """Of all trainings behind a model, but for a student."""
    config = SUITE.model(key)
    start = getattr(config, "start", None)
    steps = config.training.steps + (steps_of(start) if start else 0)
    steps += sum(SUITE.priors[name].training.steps for name in priors_of(key))
    return steps + (SUITE.latents[config.latents_name].training.steps if config.latents_name else 0)


@pytest.mark.parametrize("key", COMPARED)
def test_all_are_of_one_size_and_see_as_many_sequences(key):
    assert blocks_of(key) == pytest.approx(blocks_of("mdlm"), rel=0.05)
    assert steps_of(key) == 2000
    batches = {each.training.batch for each in (*SUITE.baselines.values(), *SUITE.models.values())}
    assert batches == {64}
