"""`ladd generate` draws what the sweeps draw, keeps what it is given, and refuses what it cannot do."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ladd.errors import ArtifactError, ConfigError, SamplingError
from ladd.files import file_hash
from ladd.generation import Request, generate
from ladd.generation.generate import read_template
from ladd.generation.settings import LATENT_STEPS, sweep_of
from ladd.samplers.base import Samples
from tests.generation.suites import TEXT_TOKENS, tokens_of
from tests.stages.tiny import run_here
from tests.tasks.text.builders import trained

SWEEPS = ["mdlm", "ar", "di-joint", "di-seq", "co-joint", "co-seq"]


# What is drawn


@pytest.mark.parametrize("key", SWEEPS)
def test_samples_are_those_of_the_sweep(suite, key):
    run_here("sample", key)
    sweep = suite.sweeps[key]
    seed = sweep.seeds[-1]
    for point in sweep.points:
        options = {} if suite.model(sweep.model).family == "ar" else {"token_steps": point.token_steps}
        drawn = tokens_of(suite, f"sweeps.{key}", options=options, seed=seed, count=sweep.samples)
        stored = np.load(f"artifacts/samples/{key}/{point.name}-seed-{seed}.npy")
        np.testing.assert_array_equal(drawn, stored)


@pytest.mark.parametrize("key", SWEEPS)
def test_samples_depend_on_seed_and_index_alone(suite, key):
    all_at_once = tokens_of(suite, key, count=9, batch=9)
    np.testing.assert_array_equal(tokens_of(suite, key, count=9, batch=2), all_at_once)
    np.testing.assert_array_equal(tokens_of(suite, key, count=3), all_at_once[:3])
    assert len(np.unique(all_at_once, axis=0)) > 4
    assert (tokens_of(suite, key, count=9, seed=1) != all_at_once).any()


@pytest.mark.parametrize(
    ("key", "options"),
    [
        ("di", {"schedule": "sequential", "latent_steps": 4, "token_steps": 8}),
        ("co", {"schedule": "sequential", "latent_steps": 4, "token_steps": 8}),
        ("co", {"token_lag": 2.0, "latent_lead": 3.0, "eta": 0.7, "temperature": 0.6, "precision": "float32"}),
        ("baselines.mdlm", {}),
        ("baselines.ar", {}),
    ],
)
def test_model_alone_takes_the_settings_that_it_is_given(suite, key, options):
    schedule = options.get("schedule", "joint")
    of_sweep = {"di": "di-seq", "co": "co-seq" if schedule == "sequential" else "co-joint"}
    sweep = of_sweep.get(key, key.removeprefix("baselines."))
    np.testing.assert_array_equal(tokens_of(suite, key, options=options, count=9), tokens_of(suite, sweep, count=9))


# Settings


@pytest.mark.parametrize(
    ("name", "schedule", "latent_steps", "steps"),
    [("baselines.mdlm", "none", 0, 8), ("baselines.ar", "none", 0, 8), ("di", "joint", 0, 8), ("co", "joint", 0, 8)],
)
def test_defaults_of_a_model_alone(suite, name, schedule, latent_steps, steps):
    sweep = sweep_of(suite, name, {}, 5)
    assert (sweep.schedule, sweep.latent_steps, sweep.token_steps) == (schedule, latent_steps, [steps])
    assert (sweep.token_lag, sweep.latent_lead, sweep.eta, sweep.temperature) == (1.0, 1.0, 0.0, 1.0)
    assert (sweep.seeds, sweep.precision) == ([5], "float64")


def test_latent_steps_of_a_model_alone(suite):
    sequential = {"schedule": "sequential"}
    assert sweep_of(suite, "di", sequential, 0).latent_steps == 2  # L
    assert sweep_of(suite, "co", sequential, 0).latent_steps == LATENT_STEPS


def test_other_schedule_leaves_what_belonged_to_the_sweeps_own(suite):
    joint = sweep_of(suite, "di-seq", {"schedule": "joint"}, 0)
    assert (joint.latent_steps, joint.latent_lead) == (0, 1.0)
    sequential = sweep_of(suite, "co-joint", {"schedule": "sequential"}, 0)
    assert (sequential.latent_steps, sequential.latent_lead) == (LATENT_STEPS, 1.0)
    assert (sequential.token_lag, sequential.eta) == (2.0, 0.7)


def test_sweep_goes_before_a_model_of_its_name(suite):
    sweeps = suite.sweeps | {"mdlm": suite.sweeps["mdlm"].model_copy(update={"temperature": 0.5})}
    changed = suite.model_copy(update={"sweeps": sweeps})
    found = {name: sweep_of(changed, name, {}, 0).temperature for name in ("mdlm", "sweeps.mdlm", "baselines.mdlm")}
    assert found == {"mdlm": 0.5, "sweeps.mdlm": 0.5, "baselines.mdlm": 1.0}


def test_latents_of_a_model_alone_come_from_the_first_prior_of_them(suite):
    assert sweep_of(suite, "models.co", {"schedule": "sequential"}, 0).prior == "continuous"
    assert sweep_of(suite, "models.co", {"schedule": "joint"}, 0).prior is None
    without = suite.model_copy(update={"priors": {}})
    with pytest.raises(ConfigError, match=r"--schedule sequential: .* 'continuous'.* no prior of them; add one"):
        sweep_of(without, "models.co", {"schedule": "sequential"}, 0)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("nothing", {}, ["'nothing'", "'di-joint'", "'untrained'", "'untrained-co'"]),
        ("models.mdlm", {}, ["'models.mdlm'", "'mdlm'"]),
        ("mdlm", {"schedule": "joint"}, ["--schedule joint", "mdlm", "'none'"]),
        ("di", {"schedule": "none"}, ["--schedule none", "'joint' or", "'sequential'"]),
        ("mdlm", {"eta": 0.5}, ["--eta", "mdlm", "--temperature, --precision, --steps, --token-lag"]),
        ("ar", {"token_steps": 8}, ["--steps", "ar", "--temperature, --precision"]),
        ("di-joint", {"eta": 0.5}, ["--eta", "di-ladd", "--latent-lead"]),
        ("di-joint", {"latent_steps": 2}, ["--latent-steps", "'joint'", "--latent-lead"]),
        ("co-seq", {"latent_lead": 2.0}, ["--latent-lead", "'sequential'", "--latent-steps"]),
        ("mdlm", {"token_steps": 9}, ["--steps 9", "N = 8"]),
        ("mdlm", {"token_lag": math.inf}, ["the setting of mdlm is not valid", "token_lag: inf", "finite"]),
        ("mdlm", {"temperature": 1e-9}, ["temperature: 1e-09", "greater than or equal to 0.001"]),
        ("di-seq", {"latent_steps": 10**30}, ["latent_steps: 1000", "less than or equal to 100000"]),
        ("co-joint", {"latent_lead": 100.0}, ["co-joint.latent_lead: 100.0", "lower latent_lead / token_lag"]),
    ],
)
def test_settings_that_do_not_fit_are_errors(suite, name, options, words):
    with pytest.raises(ConfigError) as error:
        sweep_of(suite, name, options, 0)
    assert [word for word in words if word not in str(error.value)] == []


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_out_of_range_is_an_error(suite, seed):
    with pytest.raises(ConfigError, match=rf"seeds\.0: {seed}"):
        sweep_of(suite, "mdlm", {}, seed)


def test_samples_that_keep_the_mask_are_an_error(suite, monkeypatch):
    def draw_nothing(sampler, start, seed, batch, callback):
        passes = torch.zeros(len(start), dtype=torch.int64)
        return Samples(start, passes, passes)

    monkeypatch.setattr(importlib.import_module("ladd.generation.draw"), "draw_in_batches", draw_nothing)
    with pytest.raises(SamplingError, match=r"baselines.mdlm: 2 of 2 samples still hold the mask"):
        generate(suite, Request("baselines.mdlm", count=2))


# Given tokens


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("", []),
        ("01", ["01"]),
        ("{8}", [8]),
        ("a{1}b{12}", ["a", 1, "b", 12]),
        ("{2}{3}c", [2, 3, "c"]),
        ("{{8}} {{{4}}}", ["{8} {", 4, "}"]),
        ("}}{{", ["}{"]),
    ],
)
def test_templates_are_text_and_gaps(template, parts):
    assert read_template(template) == parts


@pytest.mark.parametrize("template", ["a{", "a}b", "a{0}", "a{b}", "a{-1}", "a{}", "a{3", "a{ 3}", "a{1234567890}"])
def test_wrong_braces_are_errors(template):
    with pytest.raises(ConfigError, match="at character 1 is no gap"):
        read_template(template)


@pytest.mark.parametrize("key", ["mdlm", "di-joint", "di-seq", "co-joint", "co-seq"])
def test_given_tokens_are_kept_on_every_row_and_the_others_drawn(suite, key):
    samples = generate(suite, Request(key, {"temperature": 2.0}, template="01{3}1", count=40))
    tokens = np.array([sample.tokens for sample in samples])
    assert tokens.shape == (40, 8)
    assert {tuple(row) for row in tokens[:, [0, 1, 5]].tolist()} == {(0, 1, 1)}
    assert (tokens[:, [2, 3, 4, 6, 7]].std(axis=0) > 0).all()
    assert {tuple(sample.given) for sample in samples} == {(0, 1, 5)}
    assert samples[0].text == "".join(map(str, tokens[0]))


@pytest.mark.parametrize("key", SWEEPS)
def test_prompt_is_a_template_without_gaps(suite, key):
    prompted = tokens_of(suite, key, prompt="110", count=5)
    assert (prompted[:, :3] == [1, 1, 0]).all()
    np.testing.assert_array_equal(prompted, tokens_of(suite, key, template="110{5}", count=5))


def test_exact_leaves_out_what_follows_the_template(suite):
    request = {"template": "{3}10", "count": 5}
    whole, cut = (generate(suite, Request("mdlm", **request, exact=exact)) for exact in (False, True))
    assert [sample.tokens for sample in cut] == [sample.tokens[:5] for sample in whole]
    assert {len(sample.text) for sample in cut} == {5}
    assert cut[0].given == [3, 4]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"prompt": "010101010"}, ["9 tokens", "N = 8"]),
        ({"template": "01{999999999}"}, ["1000000001 tokens", "N = 8"]),
        ({"template": "01{9999999999}"}, ["is no gap"]),
        ({"prompt": "012"}, ["['2']", "['0', '1']"]),
    ],
)
def test_given_text_that_does_not_fit_is_an_error(suite, given, words):
    with pytest.raises(ConfigError) as error:
        generate(suite, Request("mdlm", **given))
    assert [word for word in words if word not in str(error.value)] == []


def test_autoregressive_model_refuses_text_after_a_gap(suite):
    with pytest.raises(ConfigError, match="left to right"):
        generate(suite, Request("ar", template="0{1}1"))


# Text


def test_unconditional_text_gives_nothing(text):
    samples = generate(text, Request("mdlm", count=4))
    assert {tuple(sample.given) for sample in samples} == {()}
    assert [sample.text for sample in samples] == [trained().decode(sample.tokens) for sample in samples]


@pytest.mark.parametrize("key", SWEEPS[:4] + SWEEPS[5:])
def test_prompt_stands_behind_bos_where_blocks_are_framed(text, key):
    prompt = "the quick dog"
    ids = trained().encode([prompt])[0].tolist()
    start = [trained().bos, *ids] if text.data["saw"].packing == "framed" else ids
    for sample in generate(text, Request(key, prompt=prompt, count=4)):
        assert sample.tokens[: len(start)] == start
        assert sample.given == list(range(len(start)))
        assert len(sample.tokens) == TEXT_TOKENS
        assert sample.text.startswith(prompt)


def test_text_between_gaps_is_kept(text):
    framed = text.data["saw"].packing == "framed"
    before, after = (trained().encode([part])[0].tolist() for part in ("the", " fox"))
    for sample in generate(text, Request("di-joint", template="the{4} fox", count=4, exact=True)):
        body = sample.tokens[1:] if framed else sample.tokens
        assert (body[: len(before)], body[len(before) + 4 :]) == (before, after)
        assert len(sample.given) == framed + len(before) + len(after)
        assert sample.text.startswith("the")
        assert sample.text.endswith(" fox")


def test_text_longer_than_the_model_is_an_error(text):
    bos = text.data["saw"].packing == "framed"
    count = len(trained().encode(["fox " * 20])[0]) + bos
    with pytest.raises(ConfigError, match=f"{count} tokens{', BOS among them' * bos}, .* N = {TEXT_TOKENS}"):
        generate(text, Request("mdlm", prompt="fox " * 20))


# Weights


@pytest.mark.parametrize(("name", "stage"), [("untrained", "baseline"), ("untrained-co", "stage2")])
def test_untrained_model_is_an_error_that_names_its_stage(suite, name, stage):
    with pytest.raises(ArtifactError, match=f"'{name}' is not trained.*`dvc repro -s {stage}@{name}`"):
        generate(suite, Request(name))


@pytest.mark.parametrize(("name", "folder"), [("co", "models/co"), ("co-seq", "priors/continuous")])
def test_one_changed_bit_of_weights_is_an_error(suite, name, folder):
    path = Path(f"artifacts/{folder}/weights.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(ArtifactError, match=f"{path} has sha256 .* is damaged.*delete artifacts/{folder} and run"):
            generate(suite, Request(name))
    finally:
        path.write_bytes(content)
    assert generate(suite, Request(name))[0].settings.get("prior") == {"co-seq": "continuous"}.get(name)


def test_another_tokenizer_than_that_of_the_data_is_an_error(text):
    path = Path("artifacts/data/saw/tokenizer/tokenizer.json")
    content = path.read_text()
    path.write_text(content + "\n")
    try:
        with pytest.raises(ArtifactError, match=f"{path} has sha256"):
            generate(text, Request("mdlm"))
    finally:
        path.write_text(content)


def test_weights_of_another_network_are_an_error(suite):
    mdlm = suite.baselines["mdlm"]
    wider = mdlm.model_copy(update={"network": mdlm.network.model_copy(update={"width": 16})})
    changed = suite.model_copy(update={"baselines": suite.baselines | {"mdlm": wider}})
    with pytest.raises(ArtifactError, match=r"weights\.safetensors does not fit 'mdlm'.*`dvc repro baseline@mdlm`"):
        generate(changed, Request("baselines.mdlm"))


def test_cut_weights_are_an_error_that_names_file_and_remedy(suite):
    path = Path("artifacts/models/mdlm/weights.safetensors")
    whole = path.read_bytes()
    try:
        for size in (0, 4, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            with pytest.raises(ArtifactError, match=rf"{path} .* damaged.*`dvc"):
                generate(suite, Request("baselines.mdlm"))
    finally:
        path.write_bytes(whole)


def test_sample_says_what_it_takes_to_draw_it_again(suite):
    sample = generate(suite, Request("co-joint", count=3, seed=4))[2]
    assert json.loads(json.dumps(sample.settings)) == {
        "schedule": "joint",
        "token_steps": 8,
        "latent_steps": 0,
        "token_lag": 2.0,
        "latent_lead": 3.0,
        "eta": 0.7,
        "temperature": 0.6,
        "precision": "float32",
        "seed": 4,
    }
    path = Path("artifacts/models/co/weights.safetensors")
    assert (sample.suite, sample.model, sample.family, sample.sample) == ("tiny", "co", "co-ladd", 2)
    assert (sample.weights, sample.weights_sha256) == (path.as_posix(), file_hash(path))
