"""params.yaml of a text suite: what is read, and how bad input is refused."""

import pytest

from ladd.config import load_suite
from tests.builders import corpus, network, path_asset, suite_values, text_suite_values
from tests.config.checks import changed, check_message, write


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


HUB_ASSET = path_asset("org/encoder") | {"source": "hub", "kind": "model"}
OTHER_CORPUS = corpus("corpora/validation", "*.txt", "text")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.text.validation", OTHER_CORPUS),
        ("data.text.validation", {"last": 2}),
        ("data.text.zero_shot", {}),
        ("data.text.packing", "plain"),
        (
            "data.text.tokenizer",
            {"kind": "pretrained", "vocabulary": 99, "asset": path_asset("encoder"), "files": "tokenizer.json"},
        ),
        ("encoders.bert.asset", HUB_ASSET | {"revision": "0123456789abcdef" * 2 + "01234567"}),
        ("encoders.bert.asset", HUB_ASSET),  # the first fetch says which commit to write
        ("encoders.bert.asset", HUB_ASSET | {"branch": "refs/convert/parquet"}),
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
    ("data.text.kind", "mnist", ["data.text.kind: 'mnist'", "'sawtooth', 'shidoku', 'text'"]),
    ("data.text.colour", "red", ["data.text.colour: unknown key"]),
    ("data.text.train.colour", "red", ["data.text.train.colour: unknown key"]),
    ("data.text.train.asset.url", "red", ["data.text.train.asset.url: unknown key"]),
    ("data.text.tokens", 2, ["data.text.tokens: 2", "greater than or equal to 3"]),
    ("data.text.packing", "sliding", ["data.text.packing: 'sliding'", "'framed' or 'plain'"]),
    ("run.workers", 0, ["run.workers: 0", "greater than or equal to 1"]),
    ("run.shard", 0, ["run.shard: 0", "greater than or equal to 1"]),
    ("data.text.validation", 1.0, ["data.text.validation", "1.0", "less than or equal to 0.999999"]),
    ("data.text.validation", 0.0, ["data.text.validation", "0.0", "greater than or equal to"]),
    ("data.text.validation", {"last": 0}, ["data.text.validation", "0", "greater than or equal to 1"]),
    ("data.text.validation", {"first": 2}, ["data.text.validation", "last: Field required", "first: unknown key"]),
    ("data.text.zero_shot.Penn Treebank", OTHER_CORPUS, ["data.text.zero_shot.Penn Treebank", "pattern"]),
    (
        "data.text.train.format",
        "xml",
        ["data.text.train.format: 'xml'", "'text', 'lines', 'jsonl', 'csv', 'parquet', 'arrow' or 'folder'"],
    ),
    ("data.text.train.detokeniser", "moses", ["data.text.train.detokeniser: 'moses'", "'mdlm-scientific-papers'"]),
    ("data.text.train.documents", 0, ["data.text.train.documents: 0", "greater than or equal to 1"]),
    ("data.text.tokenizer.kind", "words", ["data.text.tokenizer.kind: 'words'", "'bpe' or 'pretrained'"]),
    ("data.text.tokenizer.vocabulary", 2, ["data.text.tokenizer.vocabulary: 2", "greater than or equal to 3"]),
    ("data.text.train.asset.source", "url", ["data.text.train.asset.source: 'url'", "'wheel', 'hub' or 'path'"]),
    ("data.text.train.asset.sha256", "abc", ["data.text.train.asset.sha256: 'abc'", "pattern"]),
    ("encoders.bert.batch", 0, ["encoders.bert.batch: 0", "greater than or equal to 1"]),
    ("encoders.bert.fit", 0, ["encoders.bert.fit: 0", "greater than or equal to 1"]),
    ("run.latent_shard", 0, ["run.latent_shard: 0", "greater than or equal to 1"]),
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
    ("sweeps.mdlm.frontier.temperatures", [0.5, 0], ["mdlm.frontier.temperatures.1: 0", "than or equal to 0.001"]),
    ("sweeps.mdlm.frontier.temperatures", [], ["sweeps.mdlm.frontier.temperatures: []", "at least 1"]),
    ("sweeps.mdlm.frontier.token_steps", [], ["sweeps.mdlm.frontier.token_steps: []", "at least 1"]),
    ("evaluation.kind", "image", ["evaluation.kind: 'image'", "'sawtooth', 'shidoku', 'text'"]),
    ("evaluation.directions", 3, ["evaluation.directions: unknown key"]),
    ("evaluation.time_draws", 1, ["evaluation.time_draws: 1", "greater than or equal to 2"]),
    ("evaluation.mauve_clusters", 1, ["evaluation.mauve_clusters: 1", "greater than or equal to 2"]),
    ("evaluation.sequences", 0, ["evaluation.sequences: 0", "greater than or equal to 2"]),
    ("evaluation.zero_shot_sequences", 0, ["evaluation.zero_shot_sequences: 0", "greater than or equal to 2"]),
    ("evaluation.teacher.window", 0, ["evaluation.teacher.window: 0", "greater than or equal to 1"]),
    ("evaluation.teacher", ..., ["evaluation.teacher: Field required"]),
    ("evaluation.features", ..., ["evaluation.features: Field required"]),
    # relations inside one block
    ("data.text.train.field", "text", ["data.text.train", "field is 'text'", "text needs null"]),
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
    *(
        (
            "evaluation.teacher.asset",
            HUB_ASSET | {"revision": revision},
            ["evaluation.teacher.asset", f"revision is '{revision}'", "write a commit (40 hexadecimal digits)"],
        )
        for revision in ("main", "refs/convert/parquet", "v1.0", "c" * 39, "C" * 40, "")
    ),
    ("encoders.bert.asset.branch", "main", ["encoders.bert.asset", "branch is 'main'", "set it to null"]),
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
        ["latents.codes", "the name is taken by"],
    ),
    (
        "latents.bert",
        text_suite_values()["latents"]["learned"],
        ["latents.bert", "the name is taken by"],
    ),
    (
        "codebooks.bert",
        text_suite_values()["codebooks"]["codes"],
        ["codebooks.bert", "taken by encoders.bert; rename one"],
    ),
    ("sweeps.ccdd-joint.model", "none", ["sweeps.ccdd-joint.model", "'none' is not defined", "'co-learned'"]),
    ("sweeps.ccdd-joint.schedule", "none", ["sweeps.ccdd-joint.schedule", "'none'", "allowed is 'joint'"]),
    ("sweeps.co-seq.model", "ccdd", ["sweeps.co-seq.prior: 'chunks' draws no latents 'bert/aligned'", "[]"]),
    ("sweeps.di-joint.eta", 0.5, ["sweeps.di-joint.eta: 0.5", "di-ladd has no use for it, write 0"]),
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
