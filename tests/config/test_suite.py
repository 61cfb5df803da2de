"""params.yaml: every kind of bad input is an error that names the file, the key, the value and what is allowed."""

import pytest
from pydantic import ValidationError

from ladd.config import Suite, load_suite
from ladd.errors import ConfigError
from tests.builders import suite_values, text_suite_values
from tests.config.checks import changed, check_message, write


def test_valid_suite_is_read(tmp_path):
    suite = load_suite(write(tmp_path, suite_values()))
    assert suite.data["saw"].tokens == 8
    assert suite.data["saw"].vocabulary == 2
    assert suite.latents["discrete"].latent_noise == [0.0, 0.5]
    assert suite.model("mdlm") is suite.baselines["mdlm"]
    assert suite.model("di") is suite.models["di"]


# key that is changed, its bad value, what the message must contain
BAD = [
    # types, ranges and names of single values
    ("colour", "red", ["colour: unknown key"]),
    ("data.saw.colour", "red", ["data.saw.colour: unknown key"]),
    ("baselines.mdlm.network.depth", 3, ["baselines.mdlm.network.depth: unknown key"]),
    ("models.di.training.lr", 0.1, ["models.di.training.lr: unknown key"]),
    ("seed", "one", ["seed: 'one'", "integer"]),
    ("seed", 1.5, ["seed: 1.5", "integer"]),
    ("seed", True, ["seed: True", "integer"]),
    ("seed", ..., ["seed: Field required"]),
    ("evaluation.grid", ..., ["evaluation.grid: Field required"]),
    ("data.saw.tokens", "8", ["data.saw.tokens: '8'", "integer"]),
    ("data.saw.tokens", 0, ["data.saw.tokens: 0", "greater than or equal to 1"]),
    ("data.saw.floor", 0.5, ["data.saw.floor: 0.5", "less than 0.5"]),
    *(("data.saw.floor", floor, [f"data.saw.floor: {floor}", "at least 1e-06"]) for floor in (0.0, 1e-20, -0.1)),
    ("data.saw.kind", "mnist", ["data.saw.kind: 'mnist'", "'sawtooth', 'shidoku', 'text'"]),
    ("data.Saw Tooth", suite_values()["data"]["saw"], ["data.Saw Tooth", "'Saw Tooth'", "pattern"]),
    ("compute.device", "tpu", ["compute.device: 'tpu'", "'cpu' or 'cuda'"]),
    ("baselines.mdlm.token_channel.timed", "yes", ["baselines.mdlm.token_channel.timed: 'yes'", "boolean"]),
    ("baselines.mdlm.token_channel.warp", 0.5, ["token_channel.warp: 0.5", "greater than or equal to 1"]),
    ("baselines.mdlm.token_channel.weight", "snr", ["token_channel.weight: 'snr'", "'elbo' or 'constant'"]),
    (
        "baselines.mdlm.token_channel.schedule",
        "sqrt",
        ["token_channel.schedule: 'sqrt'", "'linear', 'polynomial', 'geometric' or 'cosine'"],
    ),
    ("baselines.mdlm.network.dropout", 1.0, ["baselines.mdlm.network.dropout: 1.0", "less than or equal to 0.9"]),
    ("baselines.mdlm.training.ema", 1.0, ["baselines.mdlm.training.ema: 1.0", "less than 1"]),
    ("baselines.mdlm.training.clip", 0, ["baselines.mdlm.training.clip: 0", "greater than or equal to 0.001"]),
    ("baselines.mdlm.network.rope_base", 1.0, ["baselines.mdlm.network.rope_base: 1.0", "greater than 1"]),
    ("sweeps.mdlm.precision", "float16", ["sweeps.mdlm.precision: 'float16'", "'float64' or 'float32'"]),
    ("sweeps.mdlm.temperature", 0, ["sweeps.mdlm.temperature: 0", "greater than or equal to 0.001"]),
    ("sweeps.co-seq.eta", 1.5, ["sweeps.co-seq.eta: 1.5", "less than or equal to 1"]),
    ("sweeps.mdlm.token_steps", [], ["sweeps.mdlm.token_steps: []", "at least 1"]),
    ("sweeps.mdlm.token_steps", [4, 0], ["sweeps.mdlm.token_steps.1: 0", "greater than or equal to 1"]),
    ("sweeps.mdlm.samples", 1, ["sweeps.mdlm.samples: 1", "greater than or equal to 2"]),
    # relations inside one block
    ("baselines.mdlm.network.width", 10, ["baselines.mdlm.network", "width 10", "multiple of 2 x heads = 4"]),
    ("baselines.mdlm.network.heads", 8, ["baselines.mdlm.network", "width 8", "2 x heads = 16"]),
    ("models.di.training.warmup", 6, ["models.di.training", "warmup 6", "below steps 6"]),
    (
        "models.di.training.checkpoint_every",
        4,
        ["models.di.training", "checkpoint_every 4", "multiple of validate_every 3"],
    ),
    ("latents.discrete.codebook", 1, ["latents.discrete", "codebook is 1", "at least 2"]),
    ("latents.discrete.codebook", None, ["latents.discrete", "codebook is None", "at least 2"]),
    ("latents.continuous.codebook", 8, ["latents.continuous", "codebook is 8", "set it to null"]),
    ("latents.discrete.quantise_after", 6, ["latents.discrete", "quantise_after 6", "below training.steps 6"]),
    ("latents.continuous.quantise_after", 1, ["latents.continuous", "quantise_after 1", "0 for continuous"]),
    (
        "latents.discrete.latent_channel.schedule",
        "sqrt",
        ["latents.discrete", "latent_channel.schedule 'sqrt'", "'linear', 'polynomial', 'geometric', 'cosine'"],
    ),
    (
        "latents.continuous.latent_channel.schedule",
        "geometric",
        ["latents.continuous", "latent_channel.schedule 'geometric'", "'linear', 'cosine', 'sqrt'"],
    ),
    ("latents.discrete.latent_channel.dropout", 0.15, ["latents.discrete", "latent_channel.dropout 0.15 must be 0"]),
    ("latents.discrete.latent_noise", [0.5, 0.2], ["latents.discrete", "latent_noise [0.5, 0.2]", "low <= high"]),
    ("latents.discrete.token_noise", [0.5, 0.2], ["latents.discrete", "token_noise [0.5, 0.2]", "low <= high"]),
    ("latents.discrete.token_noise", [0.0, 1.2], ["latents.discrete.token_noise.1: 1.2", "less than or equal to 1"]),
    ("latents.discrete.latent_noise", [0.5], ["latents.discrete.latent_noise: [0.5]", "at least 2"]),
    ("models.co.latent_noise", [0.5, 0.2], ["models.co", "latent_noise [0.5, 0.2]", "low <= high"]),
    ("models.di.latent_noise", [0.0, 0.2], ["models.di", "latent_noise [0.0, 0.2]", "codes start masked"]),
    ("models.co.latent_noise", [0.0, 0.2], ["models.co", "latent_noise [0.0, 0.2]", "shared times"]),
    ("data.saw.kind", ..., ["data.saw.kind: Field required"]),
    ("evaluation.kind", ..., ["evaluation.kind: Field required"]),
    ("models.co.latent_noise", [0.0, 1.2], ["models.co.latent_noise.1: 1.2", "less than or equal to 1"]),
    (
        "baselines.ar.token_channel",
        suite_values()["baselines"]["mdlm"]["token_channel"],
        ["baselines.ar.token_channel: {", "Input should be None"],
    ),
    ("sweeps.di-seq.prior", "continuous", ["sweeps.di-seq.prior: 'continuous'", "di-ladd draws no latents from it"]),
    ("sweeps.mdlm.prior", "continuous", ["sweeps.mdlm.prior: 'continuous'", "mdlm draws no latents from it"]),
    ("sweeps.co-seq.prior", None, ["sweeps.co-seq.prior: None draws no latents 'continuous'", "['continuous']"]),
    ("sweeps.co-seq.prior", "none", ["sweeps.co-seq.prior: 'none' draws no latents 'continuous'"]),
    ("priors.continuous.latents", "none", ["priors.continuous.latents", "'none' is not defined"]),
    ("priors.continuous.latents", "discrete", ["priors.continuous.latents: 'discrete' is discrete"]),
    ("sweeps.di-seq.latent_steps", 0, ["sweeps.di-seq", "latent_steps 0", "'sequential' needs at least 1"]),
    ("sweeps.di-joint.latent_steps", 3, ["sweeps.di-joint", "latent_steps 3", "'joint' needs 0"]),
    ("sweeps.di-seq.latent_lead", 2.0, ["sweeps.di-seq", "latent_lead 2.0", "'sequential' needs 1"]),
    ("sweeps.di-joint.seeds", [0, 0], ["sweeps.di-joint", "seeds [0, 0]", "must not repeat"]),
    ("sweeps.di-joint.token_steps", [4, 4], ["sweeps.di-joint", "token_steps [4, 4]", "must not repeat"]),
    # relations between blocks
    ("latents.discrete.length", 9, ["latents.discrete.length", "L = 9", "at most N = 8"]),
    ("latents.discrete.data", "text", ["latents.discrete.data", "'text' is not defined", "['saw']"]),
    ("baselines.ar.data", "text", ["baselines.ar.data", "'text' is not defined", "['saw']"]),
    ("models.di.data", "text", ["models.di.data", "'text' is not defined", "['saw']"]),
    ("models.di.latents", "none", ["models.di.latents", "'none' is not defined", "['continuous', 'discrete']"]),
    ("models.di.latents", "continuous", ["models.di.latents", "di-ladd needs discrete", "'continuous' is continuous"]),
    ("models.co.latents", "discrete", ["models.co.latents", "co-ladd needs continuous", "'discrete' is discrete"]),
    (
        "models.di.latent_channel.schedule",
        "sqrt",
        ["models.di.latent_channel.schedule: 'sqrt'", "['linear', 'polynomial', 'geometric', 'cosine']"],
    ),
    (
        "models.co.latent_channel.schedule",
        "polynomial",
        ["models.co.latent_channel.schedule: 'polynomial'", "['linear', 'cosine', 'sqrt']"],
    ),
    (
        "models.di.latent_channel.schedule",
        "cosine",
        ["models.di.latent_channel.schedule: 'cosine'", "latents.discrete", "'linear'"],
    ),
    ("models.di.latent_channel.dropout", 0.15, ["models.di.latent_channel.dropout: 0.15 must be 0"]),
    ("models.di.token_channel.timed", True, ["models.di.token_channel.timed: True", "latents.discrete", "is False"]),
    ("models.mdlm", suite_values()["models"]["di"], ["models.mdlm", "taken by baselines.mdlm"]),
    ("sweeps.di-seq.model", "gpt", ["sweeps.di-seq.model", "'gpt' is not defined", "['ar', 'co', 'di', 'mdlm']"]),
    ("sweeps.di-seq.data", "text", ["sweeps.di-seq.data", "'text' differs from 'saw'"]),
    ("sweeps.mdlm.schedule", "joint", ["sweeps.mdlm.schedule", "'joint' for mdlm", "allowed is 'none'"]),
    (
        "sweeps.mdlm.schedule",
        "loo-gibbs",
        ["sweeps.mdlm.schedule: 'loo-gibbs' undoes a UniformProcess", "mdlm have a MaskedProcess; take one that"],
    ),
    (
        "sweeps.di-seq",
        suite_values()["sweeps"]["di-seq"] | {"schedule": "latents-first", "tokens": {"schedule": "loo-gibbs"}},
        ["sweeps.di-seq.tokens.schedule: 'loo-gibbs' undoes a UniformProcess", "di-ladd have a MaskedProcess"],
    ),
    ("sweeps.di-joint.schedule", "none", ["sweeps.di-joint.schedule", "'none'", "'joint' or", "'sequential'"]),
    ("sweeps.ar.token_steps", [4], ["sweeps.ar.token_steps", "[4]", "write [8]"]),
    ("sweeps.mdlm.token_steps", [1, 16], ["sweeps.mdlm.token_steps", "16 must be at most N = 8"]),
    ("sweeps.di-seq.eta", 0.5, ["sweeps.di-seq.eta: 0.5", "di-ladd has no use for it, write 0"]),
    ("sweeps.di-seq.samples", 9, ["sweeps.di-seq.samples: 9", "evaluation.reference.samples, 10"]),
    ("sweeps.di-seq.seeds", [3], ["sweeps.di-seq.seeds: [3]", "evaluation.reference.seeds, [0, 1]"]),
    (
        "data.saw.reference",
        39,
        ["evaluation.reference.samples: 10 samples x 2 seeds need twice as many", "data.saw.reference is 39"],
    ),
    (
        "sweeps.mdlm.given",
        {"kind": "prefix", "share": 0.5},
        ["sweeps.mdlm.given: 'prefix'", "'saw' is drawn whole, write null"],
    ),
    (
        "models.di.network.layers",
        3,
        ["models.di.network", "'layers': 3", "must equal latents.discrete.denoiser", "'layers': 2"],
    ),
    ("evaluation.kind", "image", ["evaluation.kind: 'image'", "'sawtooth', 'shidoku', 'text'"]),
    (
        "evaluation",
        text_suite_values()["evaluation"] | {"reference": {"samples": 10, "seeds": [0, 1]}},
        ["evaluation.kind: 'text' cannot measure data.saw, a sawtooth"],
    ),
    ("data.saw.validation", 5, ["evaluation.sequences: 6", "data.saw.validation, 5"]),
    ("evaluation.reference.token_steps", [16], ["evaluation.reference.token_steps: 16", "at most N = 8"]),
]


@pytest.mark.parametrize(("key", "value", "fragments"), BAD, ids=[f"{key}={str(value)[:20]}" for key, value, _ in BAD])
def test_bad_value_is_named_with_its_file_key_and_what_is_allowed(key, value, fragments, tmp_path):
    check_message(write(tmp_path, changed(key, value)), fragments)


def test_all_bad_values_are_named_at_once(tmp_path):
    values = changed("seed", "one")
    values["compute"]["device"] = "tpu"
    with pytest.raises(ConfigError) as caught:
        load_suite(write(tmp_path, values))
    assert "seed: 'one'" in str(caught.value)
    assert "compute.device: 'tpu'" in str(caught.value)


def test_a_sampler_that_reveals_masks_is_refused_for_uniform_noise(tmp_path):
    values = changed("sweeps.mdlm.schedule", "first-hitting")
    values["baselines"]["mdlm"] |= {"family": "mdlm-uniform", "token_channel": {"timed": True}}
    fragments = ["sweeps.mdlm.schedule: 'first-hitting' undoes a MaskedProcess", "have a UniformProcess"]
    check_message(write(tmp_path, values), fragments)
    values["sweeps"]["mdlm"]["schedule"] = "psi"  # undoes both
    load_suite(write(tmp_path, values))


def test_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"nowhere.params\.yaml does not exist; run from the folder of a suite"):
        load_suite("nowhere/params.yaml")


@pytest.mark.parametrize("text", ["seed: [1", "a: b: c"])
def test_text_that_is_not_yaml_is_an_error_that_names_the_file(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"params\.yaml is not YAML"):
        load_suite(path)


@pytest.mark.parametrize(("text", "said"), [("", "empty"), ("just text", "not valid"), ("[1, 2]", "not valid")])
def test_text_that_is_no_mapping_is_an_error_that_names_the_file(text, said, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"params\.yaml is {said}"):
        load_suite(path)


def test_values_cannot_be_changed():
    suite = Suite.model_validate(suite_values())
    for block, key in ((suite, "seed"), (suite.data["saw"], "tokens"), (suite.models["di"].training, "steps")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(block, key, 3)


def test_whole_numbers_may_stand_for_fractions(tmp_path):
    assert load_suite(write(tmp_path, changed("sweeps.co-seq.eta", 1))).sweeps["co-seq"].eta == 1.0
