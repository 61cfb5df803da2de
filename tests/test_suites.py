"""Networks of suites, compute per pass and shapes at the paper's sizes, and assets that are documented."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path

import pytest
import torch

from ladd.config import load_suite
from ladd.dry_run import named_assets
from ladd.latents.prior import build_prior
from ladd.launch.overrides import read_values
from ladd.systems.base import System, backbone_macs
from ladd.tasks.text.settings import CorpusConfig, LastDocuments

REPOSITORY = Path(__file__).resolve().parents[1]
ASSETS = (REPOSITORY / "docs" / "ASSETS.md").read_text()
SUITES = {name: load_suite(REPOSITORY / f"suites/{name}/params.yaml") for name in ("lm1b", "owt")}
SHOWN = {  # in the README's table of parameters
    "sawtooth": load_suite(REPOSITORY / "params.yaml"),
    "real English": load_suite(REPOSITORY / "suites/text-demo/params.yaml"),
}
MODELS = [(name, key) for name, suite in SUITES.items() for key in (*suite.baselines, *suite.models)]
EVERY_SUITE = [REPOSITORY, *sorted(path.parent for path in REPOSITORY.glob("suites/*/params.yaml"))]

# Embeddings and heads of both channels. What is left are the blocks with their conditioning, the last norms, and the
# MLP of the latents' time.
OUTSIDE = ("embedding.", "token_head.", "latent_embedding.", "latent_head.", "latent_mask")


@cache
def parameters(name: str, key: str) -> dict[str, torch.Tensor]:
    """Of the denoiser of a model or baseline, without memory for the weights."""
    with torch.device("meta"):
        model = System.of((SUITES | SHOWN)[name], key).build()
        network = getattr(model, "denoiser", model)
    return dict(network.named_parameters())


def count(name: str, key: str, *, outside: tuple[str, ...] = OUTSIDE) -> int:
    """Parameters of a denoiser, but for those whose name starts in one of these ways."""
    return sum(each.numel() for place, each in parameters(name, key).items() if not place.startswith(outside))


@pytest.mark.parametrize(("name", "key"), MODELS)
def test_networks_have_184_million_parameters_besides_embeddings_and_heads(name, key):
    assert {each.device.type for each in parameters(name, key).values()} == {"meta"}
    assert count(name, key) == pytest.approx(184e6, rel=0.01)  # Table 10


@pytest.mark.parametrize("name", SUITES)
def test_parameters_are_those_of_the_formula(name):
    """Per stream and layer 12 d^2 + 9 d and a modulation of 6 d (C + 1); per stream a last one of 2 d (C + 1)."""

    def blocks(layers: int, width: int, condition: int, streams: int) -> int:
        layer = 12 * width**2 + (3 + 1 + 4 + 1) * width + 6 * width * (condition + 1)
        return streams * (layers * layer + 2 * width * (condition + 1))

    time = (64 + 1) * 128 + (128 + 1) * 128
    for key in SUITES[name].baselines:
        assert count(name, key) == blocks(13, 1024, 256, 1)
    for key in SUITES[name].models:
        assert count(name, key) == blocks(12, 768, 128, 2) + time


@pytest.mark.parametrize("name", SHOWN)
def test_parameters_in_the_readme_are_those_of_the_networks(name):
    lines = (REPOSITORY / "README.md").read_text().split("| Parameters, without")[1].split("\n\n")[0].splitlines()[2:]
    table = {row[0]: row[1:] for row in ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)}
    assert set(table) == set(SHOWN)
    suite, (baselines, di, co, sequential) = SHOWN[name], table[name]
    found = {"mdlm": baselines, "ar": baselines, "di-ladd": di, "co-ladd": co}
    for key in (*suite.baselines, *suite.models):
        assert f"{count(name, key) / 1e6:.3f}M" == found[suite.model(key).family], key
    sweep = next(sweep for sweep in suite.sweeps.values() if sweep.prior is not None)
    prior = build_prior(suite.priors[sweep.prior], suite.latent_shape(suite.priors[sweep.prior].latents))
    both = count(name, sweep.model) + sum(each.numel() for each in prior.parameters())
    assert f"{both / 1e6:.3f}M" == sequential


@pytest.mark.parametrize(
    ("name", "key", "millions"),
    [
        ("lm1b", "co-128", 184.77),
        ("lm1b", "di-128", 185.14),
        ("lm1b", "di-32", 186.40),
        ("owt", "di-64", 191.12),
    ],
)
def test_code_vocabulary_is_what_keeps_di_ladd_from_184_million(name, key, millions):
    """With the latent channel's embedding and head counted, K = 8192 adds 6.4 million: one figure for all variants
    (Table 10) can only leave them out, as it leaves out the tokens'."""
    assert count(name, key, outside=("embedding.", "token_head.")) == pytest.approx(millions * 1e6, abs=1e4)


@pytest.mark.parametrize(
    ("name", "key", "gflops"),
    [
        ("lm1b", "mdlm", 21.37),
        ("lm1b", "co-128", 22.95),
        ("lm1b", "di-128", 22.95),
        ("lm1b", "co-32", 14.06),
        ("lm1b", "di-32", 14.06),
        ("owt", "mdlm", 90.73),
        ("owt", "co-64", 55.04),
        ("owt", "di-64", 55.04),
        ("owt", "co-16", 49.98),
        ("owt", "di-16", 49.98),
    ],
)
def test_compute_of_a_pass_is_that_of_table_12(name, key, gflops):
    suite = SUITES[name]
    config = suite.model(key)
    length = suite.data[config.data].tokens
    if config.latents_name is not None:
        length += suite.latent_shape(config.latents_name).length
    macs = backbone_macs(length, config.network.width, config.network.layers)
    assert macs / 1e9 == pytest.approx(gflops, abs=0.005)


def test_shapes_of_the_latents_are_those_of_the_paper():
    shapes = {
        (name, key): tuple(suite.latent_shape(model.latents))[:3]
        for name, suite in SUITES.items()
        for key, model in suite.models.items()
    }
    assert shapes == {
        ("lm1b", "co-128"): (128, 32, None),
        ("lm1b", "co-32"): (32, 32, None),
        ("lm1b", "di-128"): (128, 32, 512),
        ("lm1b", "di-32"): (32, 128, 2048),
        ("owt", "co-64"): (64, 32, None),
        ("owt", "co-16"): (16, 32, None),
        ("owt", "di-64"): (64, 128, 8192),
        ("owt", "di-16"): (16, 128, 8192),
    }


@pytest.mark.parametrize(
    ("name", "tokens", "steps", "budgets"),
    [("lm1b", 128, 150_000, [2**k for k in range(8)]), ("owt", 512, 500_000, [2**k for k in range(1, 10)])],
)
def test_training_and_sampling_are_those_of_the_paper(name, tokens, steps, budgets):
    suite = SUITES[name]
    assert (suite.data[name].tokens, suite.data[name].vocabulary, suite.seed) == (tokens, 151_669, 42)
    for key in (*suite.baselines, *suite.models):
        training = suite.model(key).training
        assert (training.steps, training.batch, training.warmup, training.decay) == (steps, 512, 2500, "constant")
        assert (training.learning_rate, training.weight_decay, training.clip) == (3e-4, 0.03, 1.0)
        assert (training.ema, suite.model(key).network.dropout) == (0.9999, 0.1)
    for model in suite.models.values():
        channel = model.latent_channel
        assert (channel.schedule, channel.times, channel.dropout) == {
            "co-ladd": ("sqrt", "shared", 0.15),
            "di-ladd": ("linear", "independent", 0.0),
        }[model.family]
        assert (model.token_channel.weight, model.token_channel.timed) == ("constant", False)
    for sweep in suite.sweeps.values():
        assert sweep.token_steps == ([tokens] if suite.model(sweep.model).family == "ar" else budgets)
        assert sweep.latent_steps == (8 if sweep.schedule == "sequential" else 0)
    swept = {(suite.model(sweep.model).family, sweep.schedule) for sweep in suite.sweeps.values()}
    assert ("co-ladd", "sequential") not in swept  # Remark 5.1
    assert ("di-ladd", "sequential") in swept


def test_zero_shot_corpora_are_the_seven_of_table_4():
    corpora = SUITES["owt"].data["owt"].zero_shot
    assert {name: (corpus.field, corpus.detokeniser) for name, corpus in corpora.items()} == {
        "ptb": ("sentence", "mdlm-ptb"),
        "wikitext": ("text", "mdlm-wikitext"),
        "lm1b": ("text", "mdlm-lm1b"),
        "lambada": ("text", "mdlm-lambada"),
        "ag-news": ("text", "none"),
        "pubmed": ("article", "mdlm-scientific-papers"),
        "arxiv": ("article", "mdlm-scientific-papers"),
    }
    files = {name: corpus.files for name, corpus in corpora.items()}
    tests = {name for name, file in files.items() if re.search(r"(^|[/_])test[-/.]", file)}
    assert tests == {"lm1b", "lambada", "ag-news"}
    assert all(re.search(r"(^|/)validation[-/]", file) for name, file in files.items() if name not in tests)
    assert "arxiv/" in files["arxiv"]
    assert "pubmed/" in files["pubmed"]


def test_text_is_that_of_mdlm():
    assert SUITES["owt"].data["owt"].validation == LastDocuments(last=100_000)
    assert SUITES["owt"].data["owt"].train.detokeniser == "none"
    assert {
        corpus.detokeniser for corpus in (SUITES["lm1b"].data["lm1b"].train, SUITES["lm1b"].data["lm1b"].validation)
    } == {"mdlm-lm1b"}
    shared = SUITES["lm1b"].data["lm1b"].zero_shot
    assert shared.items() <= SUITES["owt"].data["owt"].zero_shot.items()


def test_lambada_is_openais_file():
    """The hash of the listing is that of one file with the contents that OpenAI serves as lambada_test.jsonl."""
    contents = "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226"
    listing = json.dumps([["data/lambada_test.jsonl", contents]])
    for suite in SUITES.values():
        (data,) = suite.data.values()
        assert data.zero_shot["lambada"].asset.sha256 == hashlib.sha256(listing.encode()).hexdigest()


@pytest.mark.parametrize("folder", EVERY_SUITE, ids=lambda folder: folder.name)
def test_every_asset_of_a_suite_is_documented(folder):
    for asset in named_assets(read_values(folder / "params.yaml")):
        if asset["source"] == "wheel":
            assert f"| {asset['name']} {asset['revision']} | `{asset['file']}` |" in ASSETS
            assert asset["sha256"] in ASSETS
        elif asset["source"] == "hub":
            rows = [line for line in ASSETS.splitlines() if f"| `{asset['name']}`" in line]
            assert rows, asset["name"]
            assert asset["revision"] is None or f"`{asset['revision']}`" in rows[0]
            assert asset.get("branch") is None or f"`{asset['branch']}`" in rows[0]


@pytest.mark.parametrize("folder", EVERY_SUITE, ids=lambda folder: folder.name)
def test_only_assets_whose_commit_is_not_known_are_without_one(folder):
    assets = named_assets(read_values(folder / "params.yaml"))
    unpinned = {asset["name"] for asset in assets if asset["source"] == "hub" and asset["revision"] is None}
    assert unpinned <= {"ptb-text-only/ptb_text_only", "armanc/scientific_papers"}


def test_files_of_a_corpus_are_among_those_that_are_fetched():
    """A glob of the hub's client goes across folders; what a corpus reads must be within it."""
    from huggingface_hub.utils import filter_repo_objects

    for suite in SUITES.values():
        for data in suite.data.values():
            for corpus in (data.train, data.validation, *data.zero_shot.values()):
                if not isinstance(corpus, CorpusConfig):
                    continue
                example = corpus.files.replace("*.parquet", "0000.parquet")
                assert list(filter_repo_objects([example], allow_patterns=corpus.asset.file)) == [example]
    wanted = ["config.json", "merges.txt", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.json"]
    others = ["pytorch_model.bin", "tf_model.h5", "rust_model.ot", "flax_model.msgpack", "README.md", "64.tflite"]
    pattern = SUITES["owt"].evaluation.teacher.asset.file
    assert list(filter_repo_objects(wanted + others, allow_patterns=pattern)) == wanted
