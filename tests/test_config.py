"""params.yaml: every kind of bad input is an error that names the file, the key, the value and what is allowed."""

import copy
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from ladd.config import Suite, load_suite
from ladd.errors import ConfigError
from tests.builders import corpus, network, path_asset, suite_values, text_suite_values


def write(folder: Path, values: object) -> Path:
    path = folder / "params.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def changed(key: str, value: object, values: dict | None = None) -> dict:
    """A valid suite, the sawtooth if none is given, with one entry changed, or removed where the value is `...`."""
    values = copy.deepcopy(values or suite_values())
    *parents, last = key.split(".")
    place = values
    for part in parents:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return values


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
    ("data.saw.kind", "mnist", ["data.saw.kind: 'mnist'", "'sawtooth', 'text'"]),
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
    ("baselines.mdlm.network.dropout", 1.0, ["baselines.mdlm.network.dropout: 1.0", "less than 1"]),
    ("baselines.mdlm.training.ema", 1.0, ["baselines.mdlm.training.ema: 1.0", "less than 1"]),
    ("baselines.mdlm.training.clip", 0, ["baselines.mdlm.training.clip: 0", "greater than 0"]),
    ("baselines.mdlm.network.rope_base", 1.0, ["baselines.mdlm.network.rope_base: 1.0", "greater than 1"]),
    ("sweeps.mdlm.precision", "float16", ["sweeps.mdlm.precision: 'float16'", "'float64' or 'float32'"]),
    ("sweeps.mdlm.temperature", 0, ["sweeps.mdlm.temperature: 0", "greater than 0"]),
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
    ("baselines.mdlm.token_channel", None, ["baselines.mdlm", "token_channel must be given for mdlm and null for ar"]),
    (
        "baselines.ar.token_channel",
        suite_values()["baselines"]["mdlm"]["token_channel"],
        ["baselines.ar", "token_channel must be given for mdlm and null for ar"],
    ),
    (
        "models.di.latent_denoiser",
        {"schedule": "linear", "network": network()},
        ["models.di", "latent_denoiser must be null"],
    ),
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
    ("sweeps.di-joint.schedule", "none", ["sweeps.di-joint.schedule", "'none'", "'joint' or 'sequential'"]),
    ("sweeps.ar.token_steps", [4], ["sweeps.ar.token_steps", "[4]", "write [8]"]),
    ("sweeps.mdlm.token_steps", [1, 16], ["sweeps.mdlm.token_steps", "16 must be at most N = 8"]),
    ("models.co.latent_denoiser", None, ["sweeps.co-seq.schedule", "models.co.latent_denoiser is null"]),
    ("sweeps.di-seq.eta", 0.5, ["sweeps.di-seq.eta: 0.5", "only co-ladd"]),
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
    ("evaluation.kind", "image", ["evaluation.kind: 'image'", "'sawtooth', 'text'"]),
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


def check_message(path: Path, fragments: list[str]) -> None:
    """Reading the suite fails with a message that holds all fragments."""
    with pytest.raises(ConfigError) as caught:
        load_suite(path)
    message = str(caught.value)
    assert str(path) in message
    for fragment in fragments:
        assert fragment in message
    assert "errors.pydantic.dev" not in message


def test_valid_suite_of_text_is_read(tmp_path):
    suite = load_suite(write(tmp_path, text_suite_values()))
    assert (suite.data["text"].tokens, suite.data["text"].vocabulary) == (16, 290)
    assert suite.view_of("bert/chunks") == suite.view_of("codes") == ("bert", "chunks")
    assert suite.view_of("learned") is None
    assert suite.latent_shape("bert/aligned") == (16, 4, None, True)
    assert suite.latent_shape("bert/short") == (2, 4, None, False)
    assert suite.latent_shape("codes") == (4, 4, 8, True)
    assert suite.latent_shape("learned") == suite.latents["learned"].shape == (2, 4, None, True)
    assert [suite.latent_shape(f"bert/{view}").scale for view in ("chunks", "short")] == [2.0, 1.0]


def test_points_of_a_sweep_are_its_budgets_and_then_its_frontier(tmp_path):
    suite = load_suite(write(tmp_path, text_suite_values()))
    points = [(point.token_steps, point.temperature) for point in suite.sweeps["mdlm"].points]
    assert points == [(1, 1.0), (4, 1.0), (4, 0.7), (4, 0.9)]
    assert suite.sweeps["mdlm"].points[2].name == "steps-4-temperature-0.7"
    assert suite.sweeps["co-seq"].points[0].name == "steps-1-temperature-1"


OTHER_CORPUS = corpus("corpora/validation", "*.txt", "text")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.text.validation", OTHER_CORPUS),
        ("data.text.zero_shot", {}),
        ("data.text.packing", "plain"),
        (
            "data.text.tokenizer",
            {"kind": "pretrained", "vocabulary": 99, "asset": path_asset("encoder"), "files": "tokenizer.json"},
        ),
        ("encoders.bert.asset", path_asset("encoder") | {"source": "hub", "kind": "model", "revision": "main"}),
        ("encoders.bert.asset", path_asset("encoder") | {"source": "wheel", "revision": "1.0", "file": "a.whl"}),
        ("encoders.bert.asset", path_asset("encoder") | {"sha256": "0f" * 32}),
        # A frozen encoder has no denoiser, so the network and the process are the model's own choice.
        ("models.co.network", network(width=16, layers=1)),
        ("models.co.latent_channel.schedule", "cosine"),
        ("models.di.latent_channel.schedule", "cosine"),
        ("models.di.token_channel.timed", True),
        ("sweeps.ar.frontier", {"token_steps": [16], "temperatures": [0.8]}),
        ("sweeps.ar.given", {"kind": "prefix", "share": 0.5}),
    ],
)
def test_other_valid_values_of_text(key, value, tmp_path):
    load_suite(write(tmp_path, changed(key, value, text_suite_values())))


# As above, in the suite of text.
BAD_TEXT = [
    # types, ranges and names of single values
    ("data.text.kind", "mnist", ["data.text.kind: 'mnist'", "'sawtooth', 'text'"]),
    ("data.text.colour", "red", ["data.text.colour: unknown key"]),
    ("data.text.train.colour", "red", ["data.text.train.colour: unknown key"]),
    ("data.text.train.asset.url", "red", ["data.text.train.asset.url: unknown key"]),
    ("data.text.tokens", 2, ["data.text.tokens: 2", "greater than or equal to 3"]),
    ("data.text.packing", "sliding", ["data.text.packing: 'sliding'", "'framed' or 'plain'"]),
    ("data.text.workers", 0, ["data.text.workers: 0", "greater than or equal to 1"]),
    ("data.text.shard", 0, ["data.text.shard: 0", "greater than or equal to 1"]),
    ("data.text.validation", 1.0, ["data.text.validation", "1.0", "less than 1"]),
    ("data.text.validation", 0.0, ["data.text.validation", "0.0", "greater than 0"]),
    ("data.text.zero_shot.Penn Treebank", OTHER_CORPUS, ["data.text.zero_shot.Penn Treebank", "pattern"]),
    (
        "data.text.train.format",
        "csv",
        ["data.text.train.format: 'csv'", "'text', 'lines', 'jsonl', 'parquet' or 'wikipedia'"],
    ),
    ("data.text.train.detokeniser", "moses", ["data.text.train.detokeniser: 'moses'", "'scientific_papers'"]),
    ("data.text.train.documents", 0, ["data.text.train.documents: 0", "greater than or equal to 1"]),
    ("data.text.tokenizer.kind", "words", ["data.text.tokenizer.kind: 'words'", "'bpe' or 'pretrained'"]),
    ("data.text.tokenizer.vocabulary", 2, ["data.text.tokenizer.vocabulary: 2", "greater than or equal to 3"]),
    ("data.text.train.asset.source", "url", ["data.text.train.asset.source: 'url'", "'wheel', 'hub' or 'path'"]),
    ("data.text.train.asset.sha256", "abc", ["data.text.train.asset.sha256: 'abc'", "pattern"]),
    ("encoders.bert.batch", 0, ["encoders.bert.batch: 0", "greater than or equal to 1"]),
    ("encoders.bert.fit", 0, ["encoders.bert.fit: 0", "greater than or equal to 1"]),
    ("encoders.bert.shard", 0, ["encoders.bert.shard: 0", "greater than or equal to 1"]),
    ("encoders.bert.views", {}, ["encoders.bert.views: {}", "at least 1"]),
    ("encoders.bert.views.chunks.pooling", "max", ["encoders.bert.views.chunks.pooling: 'max'", "'aligned'"]),
    ("encoders.bert.views.chunks.reduction", "umap", ["views.chunks.reduction: 'umap'", "'truncate' or 'pca'"]),
    ("encoders.bert.views.chunks.width", 0, ["encoders.bert.views.chunks.width: 0", "greater than or equal to 1"]),
    ("codebooks.codes.codebook", 1, ["codebooks.codes.codebook: 1", "greater than or equal to 2"]),
    ("codebooks.codes.steps", 0, ["codebooks.codes.steps: 0", "greater than or equal to 1"]),
    ("codebooks.codes.latents", "bert/chunks/x", ["codebooks.codes.latents: 'bert/chunks/x'", "pattern"]),
    ("baselines.mdlm.network.gate", 1.5, ["baselines.mdlm.network.gate: 1.5", "less than or equal to 1"]),
    ("sweeps.mdlm.given", {"kind": "suffix", "share": 0.5}, ["mdlm.given.kind: 'suffix'", "'prefix' or 'random'"]),
    ("sweeps.mdlm.given", {"kind": "prefix", "share": 1.0}, ["mdlm.given.share: 1.0", "less than 1"]),
    ("sweeps.mdlm.given", {"kind": "prefix", "share": 0.0}, ["mdlm.given.share: 0.0", "greater than 0"]),
    ("sweeps.mdlm.frontier.temperatures", [0.5, 0], ["mdlm.frontier.temperatures.1: 0", "greater than 0"]),
    ("sweeps.mdlm.frontier.temperatures", [], ["sweeps.mdlm.frontier.temperatures: []", "at least 1"]),
    ("sweeps.mdlm.frontier.token_steps", [], ["sweeps.mdlm.frontier.token_steps: []", "at least 1"]),
    ("evaluation.kind", "image", ["evaluation.kind: 'image'", "'sawtooth', 'text'"]),
    ("evaluation.directions", 3, ["evaluation.directions: unknown key"]),
    ("evaluation.time_draws", 1, ["evaluation.time_draws: 1", "greater than or equal to 2"]),
    ("evaluation.mauve_clusters", 1, ["evaluation.mauve_clusters: 1", "greater than or equal to 2"]),
    ("evaluation.sequences", 0, ["evaluation.sequences: 0", "greater than or equal to 1"]),
    ("evaluation.zero_shot_sequences", 0, ["evaluation.zero_shot_sequences: 0", "greater than or equal to 1"]),
    ("evaluation.teacher.window", 0, ["evaluation.teacher.window: 0", "greater than or equal to 1"]),
    ("evaluation.teacher", ..., ["evaluation.teacher: Field required"]),
    ("evaluation.features", ..., ["evaluation.features: Field required"]),
    # relations inside one block
    ("data.text.train.field", "text", ["data.text.train", "field is 'text'", "text null"]),
    ("data.text.zero_shot.articles.field", None, ["data.text.zero_shot.articles", "field is None", "text's field"]),
    ("data.text.zero_shot.sentences.field", None, ["data.text.zero_shot.sentences", "field is None", "text's field"]),
    ("data.text.tokenizer.kind", "pretrained", ["data.text.tokenizer", "asset must be given for a pretrained"]),
    ("data.text.tokenizer.asset", path_asset("a"), ["data.text.tokenizer", "asset must be", "null for bpe"]),
    ("data.text.tokenizer.files", "a.json", ["data.text.tokenizer", "files must be", "null for bpe"]),
    (
        "encoders.bert.asset",
        path_asset("a/b") | {"source": "hub", "revision": "main"},
        ["encoders.bert.asset", "kind is None", "'model' or 'dataset'"],
    ),
    ("encoders.bert.asset.kind", "model", ["encoders.bert.asset", "kind is model", "path assets null"]),
    ("encoders.bert.asset.revision", "1.0", ["encoders.bert.asset", "revision is '1.0'", "set it to null"]),
    (
        "encoders.bert.asset",
        path_asset("a") | {"source": "wheel", "file": "a.whl"},
        ["encoders.bert.asset", "revision is null", "wheel asset must be pinned"],
    ),
    (
        "evaluation.teacher.asset",
        path_asset("a/b") | {"source": "hub", "kind": "model"},
        ["evaluation.teacher.asset", "revision is null", "hub asset must be pinned"],
    ),
    (
        "encoders.bert.asset",
        path_asset("a") | {"source": "wheel", "revision": "1.0"},
        ["encoders.bert.asset", "file must be given for a wheel"],
    ),
    (
        "sweeps.mdlm.frontier",
        {"token_steps": [4], "temperatures": [0.7, 1.0]},
        ["sweeps.mdlm", "frontier", "repeats a point"],
    ),
    (
        "sweeps.mdlm.frontier",
        {"token_steps": [2, 2], "temperatures": [0.7]},
        ["sweeps.mdlm", "frontier", "repeats a point"],
    ),
    # relations between blocks
    ("latents.learned.length", 17, ["latents.learned.length", "L = 17", "at most N = 16"]),
    ("encoders.bert.data", "saw", ["encoders.bert.data", "'saw' is not defined", "['text']"]),
    ("encoders.bert.views.chunks.length", 17, ["encoders.bert.views.chunks.length", "L = 17", "at most N = 16"]),
    (
        "encoders.bert.views.aligned.length",
        8,
        ["encoders.bert.views.aligned.length", "aligned latents need L = N = 16, not 8"],
    ),
    *(
        (
            "codebooks.codes.latents",
            name,
            ["codebooks.codes.latents", f"'{name}' is not defined", "['bert/aligned', 'bert/chunks', 'bert/short']"],
        )
        for name in ("bert/none", "none/chunks", "bert", "learned")
    ),
    (
        "models.co.latents",
        "bert/none",
        ["models.co.latents", "'bert/none' is not defined", "'bert/chunks'", "'codes', 'learned'"],
    ),
    ("models.co.latents", "bert", ["models.co.latents", "'bert' is not defined"]),
    ("models.co.latents", "codes", ["models.co.latents", "co-ladd needs continuous", "'codes' is discrete"]),
    ("models.di.latents", "bert/chunks", ["models.di.latents", "di-ladd needs discrete", "is continuous"]),
    ("models.di.latents", "learned", ["models.di.latents", "di-ladd needs discrete", "'learned' is continuous"]),
    (
        "models.di.latent_channel.schedule",
        "sqrt",
        ["models.di.latent_channel.schedule: 'sqrt'", "['linear', 'polynomial', 'geometric', 'cosine']"],
    ),
    (
        "models.ccdd.latent_channel.schedule",
        "polynomial",
        ["models.ccdd.latent_channel.schedule: 'polynomial'", "['linear', 'cosine', 'sqrt']"],
    ),
    ("models.di.latent_channel.dropout", 0.1, ["models.di.latent_channel.dropout: 0.1 must be 0"]),
    (
        "models.co-learned.network.layers",
        3,
        ["models.co-learned.network", "'layers': 3", "must equal latents.learned.denoiser", "'layers': 2"],
    ),
    (
        "models.co-learned.latent_channel.schedule",
        "cosine",
        ["models.co-learned.latent_channel.schedule: 'cosine'", "latents.learned", "'sqrt'"],
    ),
    (
        "models.co-learned.token_channel.timed",
        True,
        ["models.co-learned.token_channel.timed: True", "latents.learned", "is False"],
    ),
    ("models.mdlm", text_suite_values()["models"]["co"], ["models.mdlm", "taken by baselines.mdlm"]),
    (
        "latents.codes",
        text_suite_values()["latents"]["learned"],
        ["latents.codes", "taken by codebooks or encoders; rename one"],
    ),
    (
        "latents.bert",
        text_suite_values()["latents"]["learned"],
        ["latents.bert", "taken by codebooks or encoders; rename one"],
    ),
    (
        "codebooks.bert",
        text_suite_values()["codebooks"]["codes"],
        ["codebooks.bert", "taken by encoders.bert; rename one"],
    ),
    ("sweeps.ccdd-joint.model", "none", ["sweeps.ccdd-joint.model", "'none' is not defined", "'co-learned'"]),
    ("sweeps.ccdd-joint.schedule", "none", ["sweeps.ccdd-joint.schedule", "'none'", "'joint' or 'sequential'"]),
    ("sweeps.co-seq.model", "ccdd", ["sweeps.co-seq.schedule", "models.ccdd.latent_denoiser is null"]),
    ("sweeps.di-joint.eta", 0.5, ["sweeps.di-joint.eta: 0.5", "only co-ladd"]),
    (
        "sweeps.ar-prefix.given",
        {"kind": "random", "share": 0.5},
        ["sweeps.ar-prefix.given.kind: 'random'", "it needs 'prefix'"],
    ),
    ("sweeps.ar.token_steps", [4], ["sweeps.ar.token_steps: [4]", "write [16]"]),
    (
        "sweeps.ar.frontier",
        {"token_steps": [4], "temperatures": [0.7]},
        ["sweeps.ar.frontier.token_steps: [4]", "write [16]"],
    ),
    (
        "sweeps.mdlm.frontier.token_steps",
        [4, 17],
        ["sweeps.mdlm.frontier.token_steps: 17 must be at most N = 16"],
    ),
    ("sweeps.co-seq.samples", 9, ["sweeps.co-seq.samples: 9", "evaluation.reference.samples, 8"]),
    ("sweeps.co-seq.seeds", [0], ["sweeps.co-seq.seeds: [0]", "evaluation.reference.seeds, [0, 1]"]),
    (
        "evaluation",
        suite_values()["evaluation"] | {"reference": suite_values()["evaluation"]["reference"] | {"samples": 8}},
        ["evaluation.kind: 'sawtooth' cannot measure data.text, a text"],
    ),
]


@pytest.mark.parametrize(
    ("key", "value", "fragments"), BAD_TEXT, ids=[f"{key}={str(value)[:20]}" for key, value, _ in BAD_TEXT]
)
def test_bad_value_of_text_is_named_with_its_file_key_and_what_is_allowed(key, value, fragments, tmp_path):
    check_message(write(tmp_path, changed(key, value, text_suite_values())), fragments)


def both_kinds_of_data() -> dict:
    """The suite of text with a sawtooth beside it."""
    values = text_suite_values()
    values["data"] |= suite_values()["data"] | {"other": values["data"]["text"]}
    return values


@pytest.mark.parametrize(
    ("key", "value", "fragments"),
    [
        ("encoders.bert.data", "saw", ["encoders.bert.data: 'saw' is sawtooth; a text encoder needs text"]),
        ("models.co.data", "other", ["models.co.data: 'other' differs from 'text', the data of its latents"]),
        ("models.di.data", "other", ["models.di.data: 'other' differs from 'text', the data of its latents"]),
        ("sweeps.ccdd-joint.data", "other", ["sweeps.ccdd-joint.data: 'other' differs from 'text'"]),
        ("seed", 3, ["evaluation.kind: 'text' cannot measure data.saw, a sawtooth"]),
    ],
)
def test_blocks_on_another_data_set_are_refused(key, value, fragments, tmp_path):
    check_message(write(tmp_path, changed(key, value, both_kinds_of_data())), fragments)


def test_all_bad_values_are_named_at_once(tmp_path):
    values = changed("seed", "one")
    values["compute"]["device"] = "tpu"
    with pytest.raises(ConfigError) as caught:
        load_suite(write(tmp_path, values))
    assert "seed: 'one'" in str(caught.value)
    assert "compute.device: 'tpu'" in str(caught.value)


def test_missing_file_is_named():
    with pytest.raises(ConfigError, match=r"nowhere.params\.yaml does not exist; run from the folder of a suite"):
        load_suite("nowhere/params.yaml")


@pytest.mark.parametrize("text", ["seed: [1", "a: b: c"])
def test_text_that_is_not_yaml_is_an_error_that_names_the_file(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"params\.yaml is not YAML"):
        load_suite(path)


@pytest.mark.parametrize("text", ["", "just text", "[1, 2]"])
def test_text_that_is_no_mapping_is_an_error_that_names_the_file(text, tmp_path):
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=r"params\.yaml is not valid"):
        load_suite(path)


def test_values_cannot_be_changed():
    suite = Suite.model_validate(suite_values())
    for block, key in ((suite, "seed"), (suite.data["saw"], "tokens"), (suite.models["di"].training, "steps")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(block, key, 3)


def test_whole_numbers_may_stand_for_fractions(tmp_path):
    assert load_suite(write(tmp_path, changed("sweeps.co-seq.eta", 1))).sweeps["co-seq"].eta == 1.0
