"""suites/rivals-*: which systems they set side by side, of what size, and that they see as many sequences."""

import json
from pathlib import Path

import pytest
from torch import nn

from ladd.config import load_suite
from ladd.latents.prior import build_prior
from ladd.systems.base import System

REPOSITORY = Path(__file__).resolve().parents[1]
SUITE = load_suite(REPOSITORY / "suites/rivals-shidoku/params.yaml")
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


# Suites on other tasks, and those whose trainings they share.
BELOW = {"rivals-molecules": ["suites/molecules"], "rivals-sawtooth": [".", "suites/few-latent-passes"]}
OTHERS = {name: load_suite(REPOSITORY / f"suites/{name}/params.yaml") for name in BELOW}
FAMILIES = [
    *("mdlm", "ar", "di-ladd", "co-ladd", "mdlm-uniform", "cadd", "vadd", "dcd", "self-speculative", "e-moe"),
    *("di-ladd-uniform", "ccdd-zeroed", "latent-diffusion", "diladiff"),
]


@pytest.mark.parametrize("name", BELOW)
def test_each_system_is_drawn_from_and_the_student_takes_few_passes(name):
    suite = OTHERS[name]
    assert {suite.model(sweep.model).family for sweep in suite.sweeps.values()} == set(FAMILIES)
    passes = [suite.sweeps[key].latent_steps for key in ("co-seq", "co-few-1", "co-few-2", "co-few-4")]
    assert passes == [16, 1, 2, 4]
    assert suite.replicates == 1
    (data,) = suite.data.values()
    assert suite.latents["ccdd"].length == data.tokens  # which no suite can take over from the one below


@pytest.mark.parametrize("name", BELOW)
def test_what_the_suites_below_train_is_not_trained_again(name):
    """DVC's cache knows a training by the digest of its settings and code."""

    def digests(folder):
        found = json.loads((REPOSITORY / folder / "plan.json").read_text())["digests"]
        trained = ("data", "stage1", "prior", "distil", "baseline", "stage2")
        return {(stage, key): digest for stage in trained for key, digest in found[stage].items()}

    own, shared = digests(f"suites/{name}"), set()
    for folder in BELOW[name]:
        below = digests(folder)
        both = own.keys() & below.keys()
        assert {key: own[key] for key in both} == {key: below[key] for key in both}
        shared |= both
    assert {key for _, key in shared} >= {"mdlm", "ar", "di", "co", "di-ladd", "co-ladd"}


def test_what_is_added_on_molecules_takes_as_many_steps_as_the_short_mdlm():
    suite, own = OTHERS["rivals-molecules"], {}
    for key in (*suite.baselines.keys() - {"ar", "mdlm", "mdlm-start"}, "di-uniform", "ccdd"):
        config = suite.model(key)
        own[key] = config.training.steps
        own[key] += suite.latents[config.latents_name].training.steps if config.latents_name else 0
    own["diladiff"] = suite.models["diladiff"].training.steps + suite.baselines["mdlm-start"].training.steps
    assert set(own.values()) == {1500}
    assert {each.training.batch for each in (*suite.baselines.values(), *suite.models.values())} == {64}


def test_systems_without_latents_are_of_one_size_on_molecules():
    def blocks(key):
        named = System.of(OTHERS["rivals-molecules"], key).build().named_parameters()
        return sum(each.numel() for name, each in named if not any(word in name for word in OUTSIDE))

    for key in OTHERS["rivals-molecules"].baselines.keys() - {"mdlm-start"}:
        assert blocks(key) == pytest.approx(blocks("mdlm"), rel=0.05), key
